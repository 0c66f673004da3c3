"""`magetui` in a process of its own that need not import everything first.

Thousands of times the tests start the program, and most of each start is the loading of SQLAlchemy and Alembic. Here a
server process loads them once, and each start is a fork of it, with an environment, a folder and streams of its own.
The child that the program starts under the same interpreter is a fork likewise. What depends on how either is loaded
(`WHOLE_STARTS`), or is to be signalled while it runs, is started as an operator would.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

WHOLE_STARTS = "MAGETUI_TESTS_WHOLE_STARTS"  # a variable: the child is an interpreter that loads all by itself
LOADED = (
    "magetui.cli.main",
    "magetui.cli.read_verbs",
    "magetui.cli.change_verbs",
    "magetui.cli.backup_verb",
    "magetui.text.evidence",
    "magetui.engine.evidence.evidence",
    "magetui.engine.revisions.version_changes",
    "magetui.engine.preview.preview",
    "magetui.backends.postgresql.backend",
    "magetui.backends.postgresql.bounded_reads",
    "magetui.backends.sqlite.backend",
    "magetui.runner.__main__",
    "magetui.runner.execute",
    "magetui.runner.recorder",
    "magetui.runner.render",
    "magetui.runner.repair",
    "magetui.runner.replay",
    "alembic.command",
    "alembic.context",
    "psycopg2",
    "sqlglot.dialects.postgres",
    "sqlglot.dialects.sqlite",
)

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(list(LOADED))


def start(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, streams: Sequence[Path]
) -> BaseProcess:
    """Run the program on three files: its input, its output and its complaints."""
    process = forks.Process(
        target=_main, args=(list(arguments), dict(environment), str(folder), list(map(str, streams)))
    )
    process.start()
    return process


def _main(arguments: list[str], environment: dict[str, str], folder: str, streams: list[str]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [
        path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path
    ]
    for number, (path, flags) in enumerate(zip(streams, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        descriptor = os.open(path, flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    _open_streams()
    if WHOLE_STARTS not in environment:
        _fork_children()
    sys.argv = ["magetui", *arguments]
    from magetui.__main__ import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _open_streams() -> None:
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115


def _fork_children() -> None:
    """Have `subprocess` fork this process where it would start the runner's child under the same interpreter.

    It is done at the place where Python's own code forks and executes (CPython's Lib/subprocess.py, 3.11 and later;
    3.10 calls it otherwise, and starts everything whole).
    """
    from magetui.runner.__main__ import BOOT

    fork_exec = getattr(subprocess, "_fork_exec", None)
    if fork_exec is None:
        return

    def forked_or_executed(argv: Sequence[str], *given: Any) -> Any:
        _, _, keep, folder, environment, stdin, _, _, stdout, _, stderr, _, told, _, own_session, *_ = given
        if list(argv[:3]) != [sys.executable, "-c", BOOT] or environment is not None:
            return fork_exec(argv, *given)
        pid = os.fork()
        if pid == 0:
            _become_child(argv, (stdin, stdout, stderr), {*keep} - {told}, folder, own_session)
        return pid

    setattr(subprocess, "_fork_exec", forked_or_executed)  # noqa: B010 - typeshed does not know it


def _become_child(
    argv: Sequence[str], streams: Sequence[int], keep: set[int], folder: str | None, own_session: bool
) -> None:
    """What an executed interpreter would be: these streams, no other file, the signals as they were; never returns."""
    status = 1
    try:
        for number, descriptor in enumerate(streams):
            if descriptor >= 0:
                os.dup2(descriptor, number)
        for descriptor in {int(path.name) for path in Path("/dev/fd").iterdir()} - keep - {0, 1, 2}:
            with suppress(OSError):  # the one that listed them
                os.close(descriptor)
        if folder is not None:
            os.chdir(folder)
        if own_session:
            os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        _open_streams()
        sys.argv = ["-c", *argv[3:]]
        sys.path[:] = [path for path in sys.path if path] + [argv[3]]
        from magetui.runner.__main__ import main

        main()
        status = 0
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:  # noqa: BLE001 - as an interpreter tells what nobody caught
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
