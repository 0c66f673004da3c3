"""The entry point: with a verb the command line runs, without a verb the full-screen program opens."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

from magetui.config.settings import Settings


def main() -> None:
    """Run the program and exit with a status that `magetui.cli.main` documents."""
    from magetui.cli.main import run

    status = run(sys.argv[1:], _open)
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        # A worker may still wait for a server that never answers. Nobody needs that answer any more.
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _open(settings: Settings, scenario: str | None = None) -> int:
    from magetui.tui.launch import open_app, open_demo

    return open_app(settings) if scenario is None else open_demo(settings, scenario)


if __name__ == "__main__":
    main()
