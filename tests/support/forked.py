"""Start `magetui` in another process without the cost of its imports.

The tests start the program thousands of times, and most of each start is the import of SQLAlchemy and Alembic. Here a
server process imports them once. Each start is a fork of the server with its own environment, folder and streams. The
child that the program starts under the same interpreter is a fork too. Tests that depend on how the child is loaded
set `REAL_STARTS`. Programs that receive signals while they run are started as an operator would.
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

REAL_STARTS = "MAGETUI_TESTS_REAL_STARTS"  # a variable: the child is a new interpreter that loads everything itself
LOADED = (
    "magetui.cli.main",
    "magetui.cli.read_verbs",
    "magetui.cli.change_verbs",
    "magetui.cli.backup_verb",
    "magetui.cli.run_follower",
    "magetui.text.documents",
    "magetui.text.evidence",
    "magetui.text.preflight",
    "magetui.text.run_conclusion",
    "magetui.text.terminal",
    "magetui.engine.diagnosis.diagnosis",
    "magetui.engine.diagnosis.evidence_findings",
    "magetui.engine.evidence.evidence",
    "magetui.engine.plan",
    "magetui.engine.project.env_py",
    "magetui.engine.revisions.version_changes",
    "magetui.engine.preview.preview",
    "magetui.engine.schema.introspect",
    "magetui.engine.sessions.signals",
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
    """Run the program on three files: standard input, output and error."""
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
    if REAL_STARTS not in environment:
        _fork_children()
    sys.argv = ["magetui", *arguments]
    from magetui.__main__ import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _open_streams() -> None:
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open until the process ends
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115


def _fork_children() -> None:
    """Make `subprocess` fork this process if it would start the runner's child under the same interpreter.

    The replaced function is the one that forks and executes (CPython's Lib/subprocess.py, 3.11 and later). Python 3.10
    has another name for it, so there the child is always a new interpreter.
    """
    from magetui.runner.__main__ import BOOT

    fork_exec = getattr(subprocess, "_fork_exec", None)
    if fork_exec is None:
        return

    def forked_or_executed(argv: Sequence[str], *given: Any) -> Any:
        _, _, keep, folder, environment, stdin, _, _, stdout, _, stderr, _, error_pipe, _, own_session, *_ = given
        if list(argv[:3]) != [sys.executable, "-c", BOOT]:
            return fork_exec(argv, *given)
        pid = os.fork()
        if pid == 0:
            if environment is not None:  # names and values, as bytes 'NAME=value'
                os.environb.clear()
                os.environb.update(dict(pair.split(b"=", 1) for pair in environment))
            _become_child(argv, (stdin, stdout, stderr), {*keep} - {error_pipe}, folder, own_session)
        return pid

    setattr(subprocess, "_fork_exec", forked_or_executed)  # noqa: B010 - typeshed does not know it


def _become_child(
    argv: Sequence[str], streams: Sequence[int], keep: set[int], folder: str | None, own_session: bool
) -> None:
    """Become what a new interpreter would be: these streams, no other files, no signal handlers. Never returns."""
    status = 1
    try:
        for number, descriptor in enumerate(streams):
            if descriptor >= 0:
                os.dup2(descriptor, number)
        for descriptor in {int(path.name) for path in Path("/dev/fd").iterdir()} - keep - {0, 1, 2}:
            with suppress(OSError):  # the descriptor that listed the others
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
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - an interpreter prints every uncaught exception too
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
