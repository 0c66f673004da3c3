"""The verbs, each said once: the command line, the keys, the palette and the help are all made from this list."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Danger = Literal["reads", "writes a file", "builds what it takes back", "changes the database", "destroys data"]


MOST_RETRIES = 1_000
MOST_SECONDS = 2_000_000  # PostgreSQL counts milliseconds in 31 bits


def seconds(text: str) -> float:
    """A time limit: 0 for none, else at least the millisecond that databases count in."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"this must be a number of seconds, from 0 to {MOST_SECONDS:,}")
    return max(value, 0.001) if value else 0.0


def count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal() or int(text) > MOST_RETRIES:
        raise argparse.ArgumentTypeError(f"this must be a whole number, from 0 to {MOST_RETRIES:,}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A flag (`--revision`) or, without dashes, a positional argument; `metavar` None makes a flag a switch."""

    name: str
    help: str
    metavar: str | None = None
    required: bool = False
    kind: Callable[[str], str | float] = str
    default: str | float | None = None  # of what the configuration may say it is there
    choices: tuple[str, ...] = ()

    @property
    def positional(self) -> bool:
        return not self.name.startswith("-")

    @property
    def key(self) -> str:
        """The name a parsed value goes by."""
        return self.name.lstrip("-").replace("-", "_").lower()


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing the program does. `key` is its key on the screen, `title` its words there."""

    name: str
    title: str
    summary: str
    danger: Danger
    key: str | None = None
    parameters: tuple[Parameter, ...] = ()

    @property
    def changes(self) -> bool:
        return self.danger in ("changes the database", "destroys data")


REVISION = Parameter("--revision", "a revision's id, a part of it, or -1, -2 … to count back", "R")
LOCK_TIMEOUT = Parameter(
    "--lock-timeout-seconds",
    "give up when a lock is not had within S (default: 10; 0: never)",
    "S",
    kind=seconds,
)
LIMITS = (
    Parameter("--yes", "do it without asking"),
    LOCK_TIMEOUT,
    Parameter(
        "--statement-timeout-seconds",
        "end a statement that takes longer (default: none)",
        "S",
        kind=seconds,
    ),
    Parameter(
        "--lock-retries",
        "begin anew up to N times after a lock timeout that left nothing behind (default: 0)",
        "N",
        kind=count,
    ),
    Parameter(
        "--on-disconnect",
        "when this program or its terminal is gone: let the run go on (the default), or cancel it",
        "WHAT",
        choices=("continue", "cancel"),
    ),
    Parameter("--sql", "print the whole as an SQL script, current revision included, and change nothing"),
)
IN_DOUBT = Parameter(
    "--in-doubt",
    "what no schema shows, such as rows that were changed: run it, or skip it since it was run",
    "WHAT",
    choices=("run", "skip"),
)
COMMON = (
    Parameter("--url", "the database's SQLAlchemy URL; else from the environment or the project", "URL"),
    Parameter("--target", "a target that the configuration names; see 'magetui config'", "NAME"),
    Parameter("--project-path", "the project's folder (default: this one)", "DIR"),
    Parameter("--config", "an alembic.ini, or a pyproject.toml with [tool.alembic]", "FILE"),
    Parameter("--name", "the section of alembic.ini to use, where it names several databases", "SECTION"),
    Parameter("--mage-path", "where mage_ai is installed: a site-packages folder, or the package", "DIR"),
    Parameter(
        "--python",
        "the interpreter that Mage or the project runs under; else the project's .venv or $VIRTUAL_ENV",
        "FILE",
    ),
    Parameter("--scratch-url", "an empty PostgreSQL database, for verify to build schemas in", "URL"),
    Parameter("--read-only", "refuse every verb that changes something"),
    Parameter("--json", "print one JSON document"),
    Parameter("--no-color", "no colours"),
    Parameter("--no-mouse", "leave the mouse to the terminal"),
)

VERBS: tuple[Verb, ...] = (
    Verb(
        "diagnose",
        "Diagnose",
        "say what state the database's migrations are in, and what to do next",
        "reads",
        key="d",
    ),
    Verb(
        "history",
        "History",
        "list every revision of the chain; needs no database, imports no script",
        "reads",
    ),
    Verb(
        "schema",
        "Schema",
        "list the tables, or describe one",
        "reads",
        parameters=(
            Parameter("TABLE", "the table to describe", "TABLE"),
            Parameter("--schema", "only this schema", "S"),
        ),
    ),
    Verb(
        "evidence",
        "Evidence",
        "say which revision the schema fits, whatever the current revision says",
        "reads",
        key="e",
    ),
    Verb(
        "verify",
        "Verify",
        "build the schema of a revision from nothing, and show every difference from the live one",
        "builds what it takes back",
        key="v",
        parameters=(
            Parameter("R", "the revision: an id, head or base (default: where the current revision is)", "R"),
            Parameter("--yes", "do it without asking"),
        ),
    ),
    Verb(
        "locks",
        "Locks",
        "show the sessions, what they hold and wait for; cancel or end one",
        "reads",
        key="l",
        parameters=(
            Parameter("--cancel", "cancel what session PID is running", "PID", kind=int),
            Parameter("--terminate", "end session PID; what it had not committed is lost", "PID", kind=int),
            Parameter("--yes", "do it without asking"),
        ),
    ),
    Verb(
        "plan",
        "Plan",
        "show what a changing verb would do, and change nothing",
        "reads",
        key="p",
        parameters=(
            Parameter(
                "VERB",
                "migrate, rollback, stamp, finish or undo",
                "VERB",
                required=True,
                choices=("migrate", "rollback", "stamp", "finish", "undo"),
            ),
            Parameter("R", "the revision, for stamp", "R"),
            REVISION,
            Parameter("--replace-unknown-revision", "the unknown current revision that stamp would replace", "U"),
            IN_DOUBT,
        ),
    ),
    Verb(
        "migrate",
        "Migrate",
        "upgrade the database to the head, or to a revision",
        "changes the database",
        key="m",
        parameters=(REVISION, *LIMITS),
    ),
    Verb(
        "rollback",
        "Roll back",
        "downgrade the database to a revision, or by -1, -2 …",
        "destroys data",
        key="b",
        parameters=(REVISION, *LIMITS),
    ),
    Verb(
        "stamp",
        "Stamp",
        "set the current revision without running any SQL of the chain",
        "changes the database",
        key="s",
        parameters=(
            Parameter("R", "the revision to write: an id, head or base", "R", required=True),
            Parameter(
                "--replace-unknown-revision",
                "replace exactly this current revision, which the chain does not have",
                "U",
            ),
            *LIMITS,
        ),
    ),
    Verb(
        "finish",
        "Finish",
        "do what is missing of a revision that is half there, and set the current revision to it",
        "changes the database",
        key="f",
        parameters=(IN_DOUBT, *LIMITS),
    ),
    Verb(
        "undo",
        "Undo",
        "take back what is done of a revision that is half there, and set the current revision before it",
        "destroys data",
        key="U",
        parameters=LIMITS,
    ),
    Verb(
        "backup",
        "Back up",
        "write the whole database to one file, with pg_dump or SQLite's online backup",
        "writes a file",
        key="B",
        parameters=(
            Parameter("--output", "the file to write (default: the database's name and the time, here)", "FILE"),
            Parameter("--pg-dump", "the pg_dump to use (default: the one on PATH)", "FILE"),
            LOCK_TIMEOUT,
            Parameter("--anyway", "begin even where the disk may turn out too small"),
        ),
    ),
    Verb(
        "runs",
        "Runs",
        "list past and present runs; tell one, or follow it while it goes on",
        "reads",
        key="u",
        parameters=(
            Parameter("ID", "the run to tell or follow", "ID", kind=int),
            Parameter("--cancel", "ask the run to stop"),
            Parameter("--report", "tell all of the run, statement by statement, for the incident report"),
        ),
    ),
    Verb(
        "config",
        "Configuration",
        "show each setting and what it came from, the files that are looked for, the named targets",
        "reads",
    ),
    Verb(
        "demo",
        "Demo",
        "build a practice incident in an embedded SQLite database and open it",
        "writes a file",
        parameters=(
            Parameter(
                "SCENARIO",
                "behind (the default), unknown-revision, half-applied or locked",
                "SCENARIO",
                default="behind",
                choices=("behind", "unknown-revision", "half-applied", "locked"),
            ),
        ),
    ),
)


def verb(name: str) -> Verb:
    """The verb of that name. Raises `KeyError`."""
    return {one.name: one for one in VERBS}[name]
