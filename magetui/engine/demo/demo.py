"""Practice incidents: a small project of our own, and a SQLite database in a state that people are paged for.

The scripts in `demo_project` really run. The database comes from SQL that was recorded from them, because running the
chain would take a second. A test compares the two.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from magetui.engine.errors import MagetuiError, UsageError

Scenario = Literal["behind", "unknown-revision", "half-applied", "locked"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)

PROJECT = Path(__file__).with_name("demo_project")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "states")
STATES: Mapping[Scenario, tuple[str, ...]] = {
    "behind": ("two_behind.sql",),
    "unknown-revision": ("two_behind.sql", "head.sql", "unknown_revision.sql"),
    "half-applied": ("two_behind.sql", "partially_applied.sql"),
    "locked": ("two_behind.sql", "head.sql"),
}
STORIES: Mapping[Scenario, str] = {
    "behind": (
        "The scheduler was upgraded this morning, but its migrations were not run, so it does not start. Two "
        "revisions are pending. Look at their plan, migrate, and then roll back by one."
    ),
    "unknown-revision": (
        "Somebody deployed a branch, then the old release again, and the scheduler reports \"Can't locate "
        'revision". The current revision is 3fe8d1b64a05, which no script here has. The author of the branch says that '
        "it only changed the current revision, so the schema is the head's. Check the schema, then stamp the head in "
        "place of exactly that unknown revision."
    ),
    "half-applied": (
        "The machine ran out of memory in the middle of revision c46b8f03e7d1, and SQLite kept the operations that "
        "were done: the table pause, and an empty copy of the table task. Migrating fails on them, and it leaves "
        "everything as it was. Try it. Then finish that revision, or undo its partial work and migrate again."
    ),
    "locked": (
        "The release must be rolled back, but a process has held the database's write lock since its job went "
        "wrong. Roll back by one: watch the run wait, see the blocker, and see the run give up at its lock timeout "
        "with nothing changed. Then kill that process from another shell, and roll back again."
    ),
}

TIED_SECONDS = 30 * 60  # how long the lock holder of `locked` lives while the demo is open
LOOSE_SECONDS = 2 * 60  # how long it lives if nobody stays to end it
# Arguments: the database, the number of seconds, and 'tied' if it ends when its stdin closes, with its parent. It also
# ends when the database is deleted.
HOLDER = """
import os, select, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin immediate")
connection.execute("update task_run set state = 'failed', ended_at = datetime() where state = 'running'")
print("holding", flush=True)
ends = time.monotonic() + float(sys.argv[2])
while time.monotonic() < ends and os.path.exists(sys.argv[1]):
    if select.select([sys.stdin] if sys.argv[3] == "tied" else [], [], [], 0.5)[0]:
        break
"""


@dataclass(frozen=True)
class Demo(AbstractContextManager["Demo"]):
    """A practice incident. Use it in `with`, or call `close`, which ends the lock holder and deletes the folder."""

    scenario: Scenario
    folder: Path  # holds everything; deleted at the end
    config: Path  # the alembic.ini
    database: Path
    story: str  # the incident and the steps to try
    state_home: Path  # for XDG_STATE_HOME, so that practice runs are not mixed with real runs
    holder: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def holder_pid(self) -> int | None:
        """Return the pid of the process that holds the write lock, in the scenario `locked`."""
        return self.holder.pid if self.holder is not None else None

    def environment(self, outer: Mapping[str, str]) -> dict[str, str]:
        """Return the environment in which verbs work only on this demo."""
        return {**outer, "XDG_STATE_HOME": str(self.state_home), "XDG_CACHE_HOME": str(self.folder / "cache")}

    def close(self) -> None:
        if self.holder is not None:
            self.holder.kill()
            self.holder.wait()
            if self.holder.stdin is not None:
                self.holder.stdin.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(self, *_: object) -> None:
        self.close()


def build_demo(scenario: str, directory: Path | None = None, *, tied: bool = True) -> Demo:
    """Build a scenario in a new folder. Its lock holder ends with this process if `tied`, else after two minutes.

    Raises `UsageError` for an unknown scenario, and `MagetuiError` if the folder cannot be written.
    """
    chosen = next((known for known in SCENARIOS if known == scenario), None)
    if chosen is None:
        raise UsageError(f"There is no scenario '{scenario}'. Choose one of: {', '.join(SCENARIOS)}.")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"magetui-{chosen}-", dir=directory)).resolve()
        shutil.copytree(PROJECT, folder / "scheduler", ignore=NOT_COPIED)
    except OSError as error:
        parent = directory or tempfile.gettempdir()
        raise MagetuiError(f"The practice project cannot be written in {parent}: {error.strerror}.") from error
    database = folder / "scheduler" / "scheduler.db"
    statements = "".join((PROJECT / "states" / name).read_text(encoding="utf-8") for name in STATES[chosen])
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(f"begin;\n{statements}\ncommit;")
    demo = Demo(
        scenario=chosen,
        folder=folder,
        config=folder / "scheduler" / "alembic.ini",
        database=database,
        story=STORIES[chosen],
        state_home=folder / "state",
        holder=_start_holder(database, tied=tied) if chosen == "locked" else None,
    )
    _trust(demo)
    return demo


def _trust(demo: Demo) -> None:
    """Trust the practice project, whose code is ours, in the state directory of the practice alone."""
    from magetui.engine.project.project import alembic_project
    from magetui.engine.project.trust import trust, untrusted_code

    environment = demo.environment(os.environ)
    code = untrusted_code(alembic_project(demo.config), environment)
    assert code is not None
    trust(code, environment)


def _start_holder(database: Path, *, tied: bool) -> subprocess.Popen[bytes]:
    """Start a process that holds the write lock when this function returns."""
    seconds, mode = (TIED_SECONDS, "tied") if tied else (LOOSE_SECONDS, "loose")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database), str(seconds), mode],
        stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # ctrl+c on the terminal does not reach it
    )
    assert holder.stdout is not None
    with holder.stdout as answer:
        if not answer.readline():
            holder.wait()
            raise MagetuiError("The process that should hold the practice database's lock did not get it.")
    return holder
