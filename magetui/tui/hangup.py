"""Leave when the terminal is gone, or when a signal ends the program: the terminal gets its modes back.

A thread sleeps in `poll` until the kernel reports that the terminal hung up, which costs nothing: Textual would read
the end of input again and again, at full speed. Then the app is asked to leave, as after a signal. If writing to the
dead terminal holds up the app, the process ends after `GRACE_SECONDS`. A run is another process and continues.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable

GRACE_SECONDS = 3.0
ENDING_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def watch_for_hangup(leave: Callable[[int], None]) -> None:
    """Call `leave` with an exit status, from another thread, when the terminal on stdin is gone or a signal came.

    Then make sure that the process ends. Must be called from the main thread.
    """
    gone = threading.Event()
    received = [signal.SIGHUP]  # the last one is the reason

    def note(number: int, _frame: object) -> None:
        received.append(signal.Signals(number))
        gone.set()

    for number in ENDING_SIGNALS:
        signal.signal(number, note)

    def poll() -> None:
        poller = select.poll()
        poller.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, select.POLLHUP | select.POLLERR)
        poller.poll()
        gone.set()

    def wait() -> None:
        gone.wait()
        status = 128 + received[-1]
        leave(status)
        timer = threading.Timer(GRACE_SECONDS, os._exit, (status,))
        timer.daemon = True
        timer.start()

    for name, target in (("hangup-poll", poll), ("hangup", wait)):
        threading.Thread(target=target, name=name, daemon=True).start()
