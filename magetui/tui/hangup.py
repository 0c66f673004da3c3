"""Leave when the terminal is gone. Textual would read the end of input again and again, at full speed.

A thread sleeps in `poll` until the kernel reports that the terminal hung up, which costs nothing. Then the app is asked
to leave. If writing to the dead terminal holds up the app, the process ends after `GRACE_SECONDS`. A run is another
process and continues.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable

GRACE_SECONDS = 3.0
HUNG_UP_STATUS = 128 + signal.SIGHUP


def watch_for_hangup(leave: Callable[[], None]) -> None:
    """Call `leave` from another thread when the terminal on stdin is gone, then make sure that the process ends."""
    gone = threading.Event()
    signal.signal(signal.SIGHUP, lambda _number, _frame: gone.set())

    def poll() -> None:
        poller = select.poll()
        poller.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, select.POLLHUP | select.POLLERR)
        poller.poll()
        gone.set()

    def wait() -> None:
        gone.wait()
        leave()
        timer = threading.Timer(GRACE_SECONDS, os._exit, (HUNG_UP_STATUS,))
        timer.daemon = True
        timer.start()

    for name, target in (("hangup-poll", poll), ("hangup", wait)):
        threading.Thread(target=target, name=name, daemon=True).start()
