"""`magetui` in a process of its own that need not import everything first.

Thousands of times the tests start the program, and most of each start is the loading of SQLAlchemy and Alembic. Here a
server process loads them once, and each start is a fork of it, with an environment, a folder and streams of its own.
What depends on how the program is loaded, or is to be signalled while it runs, is started as an operator would.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

LOADED = (
    "magetui.cli.main",
    "magetui.cli.reading",
    "magetui.cli.changing",
    "magetui.cli.backing_up",
    "magetui.conclusions",
    "magetui.engine.evidence",
    "magetui.engine.markers",
    "magetui.engine.preview",
    "magetui.backends.postgresql",
    "magetui.backends.postgresql_patience",
    "magetui.backends.sqlite",
    "alembic.script.revision",
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
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    sys.argv = ["magetui", *arguments]
    from magetui.__main__ import main

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
