"""A call in a thread of its own: what its caller gets, and how soon ctrl+c reaches the caller."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from magetui.backends.thread_call import TURN_SECONDS, ThreadCall
from tests.support.waiting import eventually

LONG_SECONDS = 20.0


@pytest.fixture
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    yield
    signal.signal(signal.SIGUSR1, before)


def waits(thread: int) -> bool:
    """Return whether the thread sleeps in `ThreadCall.wait`."""
    frame = sys._current_frames()[thread]
    caller = frame.f_back and frame.f_back.f_back
    sleeps = frame.f_code is threading.Condition.wait.__code__
    return sleeps and caller is not None and caller.f_code is ThreadCall.wait.__code__


def test_caller_gets_the_value_or_the_error_of_the_call() -> None:
    call = ThreadCall(lambda: 7)
    call.start("test")
    assert call.wait(LONG_SECONDS)
    assert call.is_done
    assert call.result() == 7

    def fail() -> int:
        raise ValueError("no")

    failing = ThreadCall(fail)
    failing.start("test")
    assert failing.wait()
    with pytest.raises(ValueError, match="no"):
        failing.result()


def test_wait_ends_after_its_time() -> None:
    end = threading.Event()
    call = ThreadCall(end.wait)
    call.start("test")
    assert not call.wait(0)
    assert not call.wait(TURN_SECONDS * 1.5)
    assert not call.is_done
    end.set()
    assert call.wait(LONG_SECONDS)


def test_ctrl_c_that_does_not_wake_the_waiting_thread_is_heard_all_the_same(interruptible: None) -> None:
    # Another thread takes the signal. The main thread sleeps on, as after a signal that comes just before its sleep.
    main = threading.get_ident()

    def be_signalled_and_stay() -> None:
        eventually(lambda: waits(main))
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        end.wait()

    end = threading.Event()
    call = ThreadCall(be_signalled_and_stay)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        call.start("test")
        call.wait(LONG_SECONDS)
    assert time.monotonic() - began < LONG_SECONDS / 2
    end.set()
