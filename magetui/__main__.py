"""The entry point: with a verb the command line runs, without a verb the full-screen program opens."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from magetui.cli.exposure import hide_arguments, prevent_core_dumps

if TYPE_CHECKING:
    from magetui.config.settings import Settings


# How many new objects make Python look for garbage. With its default of 700, it walks all objects again and again while
# the modules are imported, which takes 8% of the time of `diagnose`.
GARBAGE_THRESHOLD = 50_000
COMPLETING = "_ARGCOMPLETE"  # the variable by which a shell asks for completions


def main() -> None:
    """Run the program and exit with a status that `magetui.cli.main` documents."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    if COMPLETING in os.environ:
        from magetui.cli.completion import complete

        complete()
    hide_arguments()
    prevent_core_dumps()
    _open_streams()
    try:
        status = _run()
    except BrokenPipeError:
        _end_by_broken_pipe()
    # Not `sys.exit`: it would wait for a worker whose server never answers, and then free every object of the
    # libraries, which takes a tenth of the time of `diagnose`. All output is written by now.
    os._exit(status)


def _run() -> int:
    """Carry out the command line, and print all of it. Raises `BrokenPipeError` if nobody reads the output any more."""
    from magetui.cli.main import run

    try:
        return run(sys.argv[1:], _open)
    finally:  # --help and --version leave with SystemExit
        sys.stdout.flush()
        sys.stderr.flush()


def _end_by_broken_pipe() -> NoReturn:
    """End as other programs do whose reader went away: by the signal, without a word. Python ignores the signal."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(128 + signal.SIGPIPE)  # the signal is blocked


def _open_streams() -> None:
    """Let stdin, stdout and stderr exist: whoever closed one wants nothing from it, and no file may take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free, which is this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - open until the process ends


def _open(settings: Settings, scenario: str | None = None) -> int:
    from magetui.tui.launch import open_app, open_demo

    return open_app(settings) if scenario is None else open_demo(settings, scenario)


if __name__ == "__main__":
    main()
