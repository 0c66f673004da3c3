"""The verbs of the program. The command line, the keys, the palette and the help are all made from this list.

It imports nothing of ours, so that the command line can print its help before anything is loaded.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Danger = Literal["reads", "writes a file", "writes and rolls back", "changes the database", "destroys data"]

MOST_RETRIES = 1_000
MOST_SECONDS = 2_000_000  # PostgreSQL counts milliseconds in 31 bits


def seconds(text: str) -> float:
    """Return a time limit: 0 for no limit, else at least one millisecond, the unit of the databases."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"this must be a number of seconds from 0 to {MOST_SECONDS:,}")
    return max(value, 0.001) if value else 0.0


def count(text: str) -> int:
    """Return an integer from 0 to `MOST_RETRIES`."""
    if not text.isdecimal() or int(text) > MOST_RETRIES:
        raise argparse.ArgumentTypeError(f"this must be an integer from 0 to {MOST_RETRIES:,}")
    return int(text)


def identifier(text: str) -> int:
    """Return the number of a session or of a run."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("this must be a number")
    return int(text)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A flag such as `--revision`, or a positional argument without dashes. A flag without `metavar` is a switch."""

    name: str
    help: str
    metavar: str | None = None
    required: bool = False
    kind: Callable[[str], str | float] = str
    default: str | float | None = None  # settings of the configuration have their defaults there
    choices: tuple[str, ...] = ()

    @property
    def positional(self) -> bool:
        return not self.name.startswith("-")

    @property
    def key(self) -> str:
        """Return the key of the parsed value."""
        return self.name.lstrip("-").replace("-", "_").lower()


@dataclass(frozen=True, slots=True)
class Verb:
    """One function of the program. `key` is its key on the screen, and `label` its label there."""

    name: str
    summary: str
    danger: Danger
    examples: tuple[str, ...]
    key: str | None = None
    parameters: tuple[Parameter, ...] = ()
    title: str = ""

    @property
    def label(self) -> str:
        return self.title or self.name.capitalize()

    @property
    def takes_revision(self) -> bool:
        """Return whether a revision is named. Without one, the schema determines what the verb does."""
        return any(parameter.name in ("R", "--revision") for parameter in self.parameters)

    @property
    def changes(self) -> bool:
        return self.danger in ("changes the database", "destroys data")


REVISION = Parameter("--revision", "a revision as Alembic names it: ab12, heads, base, -1, +1, ab12+2, left@head", "R")
LOCK_TIMEOUT = Parameter(
    "--lock-timeout-seconds", "give up if a lock takes longer than S (default: 10; 0: never)", "S", kind=seconds
)
YES = Parameter("--yes", "do it without asking")
DESPITE_PREFLIGHT = Parameter("--despite-preflight", "with --yes: do it even if the preflight says that it will fail")
LIMITS = (
    YES,
    LOCK_TIMEOUT,
    Parameter(
        "--statement-timeout-seconds", "cancel a statement that takes longer than S (default: none)", "S", kind=seconds
    ),
    Parameter(
        "--lock-retries",
        "retry up to N times after a lock timeout, if nothing was committed (default: 0)",
        "N",
        kind=count,
    ),
    Parameter(
        "--on-disconnect",
        "if this program or its terminal is gone: continue the run (the default), or cancel it",
        "WHAT",
        choices=("continue", "cancel"),
    ),
    Parameter("--notify-command", "run COMMAND when the run ends, with the run as JSON on its stdin", "COMMAND"),
    Parameter("--sql", "print everything as an SQL script, current revision included, and change nothing"),
)
IN_DOUBT = Parameter(
    "--in-doubt",
    "operations that no schema shows, such as changed rows: run them, or skip them as already done",
    "WHAT",
    choices=("run", "skip"),
)
WAIT = Parameter(
    "--wait",
    "first wait up to S seconds while the server is away or somebody else migrates, as in a start-up script",
    "S",
    kind=seconds,
)
COMMIT_EACH = Parameter("--commit-each", "one run and one transaction for each revision, instead of one for all")
COMMON = (
    Parameter("--url", "the database's SQLAlchemy URL (default: from the environment or the project)", "URL"),
    Parameter("--target", "a target of the configuration; see 'magetui config'", "NAME"),
    Parameter("--project-path", "the project's folder (default: this one)", "DIR"),
    Parameter("--config", "an alembic.ini, or a pyproject.toml with [tool.alembic]", "FILE"),
    Parameter("--name", "the section of alembic.ini to use, if it names several databases", "SECTION"),
    Parameter("--mage-path", "the folder of mage_ai: a site-packages folder, or the package", "DIR"),
    Parameter(
        "--python", "the interpreter of Mage or the project (default: the project's .venv, or $VIRTUAL_ENV)", "FILE"
    ),
    Parameter("--scratch-url", "an empty PostgreSQL database where verify builds schemas", "URL"),
    Parameter("--trust", "run the project's own code without asking whether it is trusted"),
    Parameter("--read-only", "refuse every verb that changes something"),
    Parameter("--json", "print one JSON document"),
    Parameter("--no-color", "use no colours"),
    Parameter("--no-mouse", "leave the mouse to the terminal"),
    Parameter("--ascii", "draw the full-screen program with ASCII characters"),
    Parameter("--theme", "the colours of the full-screen program (default: ansi-dark, the terminal's own)", "NAME"),
)

PLAIN = Parameter("--plain", "without a verb: ask for the verbs in lines, for a screen reader or a slow line")

COMPLETION = Parameter(
    "--completion", "print the code that completes magetui in a shell", "SHELL", choices=("bash", "zsh", "fish")
)

VERBS: tuple[Verb, ...] = (
    Verb(
        "diagnose",
        "show the state of the database's migrations, and what to do next",
        "reads",
        ("magetui diagnose", "magetui diagnose --url postgresql://mage@db1:5432/mage", "magetui diagnose --all"),
        key="d",
        parameters=(
            Parameter("--all", "diagnose every target of the configuration, a line for each"),
            Parameter("--schemas", "diagnose every schema with such a name, as 'tenant_*', a line for each", "P"),
            Parameter("--at-once", "with --all or --schemas: at most N at the same time", "N", kind=count, default=4),
            Parameter(
                "--wait",
                "wait up to S seconds until the database is at the head (status 3: not yet)",
                "S",
                kind=seconds,
            ),
        ),
    ),
    Verb(
        "history",
        "list all revisions of the chain, without a database; a script runs only if it computes its place",
        "reads",
        ("magetui history --graph",),
        parameters=(Parameter("--graph", "draw the branches beside the revisions"),),
    ),
    Verb(
        "schema",
        "list the tables, or describe one",
        "reads",
        ("magetui schema", "magetui schema user"),
        parameters=(
            Parameter("TABLE", "the table to describe", "TABLE"),
            Parameter("--schema", "only this schema", "S"),
        ),
    ),
    Verb(
        "evidence",
        "show which revision the schema matches, regardless of the current revision",
        "reads",
        ("magetui evidence",),
        key="e",
    ),
    Verb(
        "verify",
        "build the schema of a revision from nothing, and show every difference from the live schema",
        "writes and rolls back",
        ("magetui verify", "magetui verify head --scratch-url postgresql://me@localhost/scratch"),
        key="v",
        parameters=(Parameter("R", "the revision: an id, heads, head-1 … (default: the current revision)", "R"), YES),
    ),
    Verb(
        "check",
        "say whether a new script is due: what autogenerate finds between the models and the database",
        "reads",
        ("magetui check",),
    ),
    Verb(
        "locks",
        "show the sessions and their locks, who waits for whom; cancel a query or end a session",
        "reads",
        ("magetui locks", "magetui locks --terminate 4711"),
        key="l",
        parameters=(
            Parameter("--cancel", "cancel the query of session PID", "PID", kind=identifier),
            Parameter("--terminate", "end session PID; what it has not committed is lost", "PID", kind=identifier),
            YES,
        ),
    ),
    Verb(
        "plan",
        "show what a changing verb would do, without changing anything",
        "reads",
        ("magetui plan migrate", "magetui plan rollback --revision -1"),
        key="p",
        parameters=(
            Parameter(
                "VERB",
                "migrate, rollback, stamp, finish, undo, repair or clean",
                "VERB",
                required=True,
                choices=("migrate", "rollback", "stamp", "finish", "undo", "repair", "clean"),
            ),
            Parameter("R", "the revision, for stamp", "R"),
            REVISION,
            Parameter("--replace-unknown-revision", "the unknown current revision that stamp would replace", "U"),
            IN_DOUBT,
        ),
    ),
    Verb(
        "preflight",
        "say whether a migration will pass, from the live schema and its rows (exit status 3: it will fail)",
        "reads",
        ("magetui preflight", "magetui preflight rollback --revision -1"),
        parameters=(
            Parameter("VERB", "migrate (the default) or rollback", "VERB", choices=("migrate", "rollback")),
            REVISION,
        ),
    ),
    Verb(
        "migrate",
        "upgrade the database to the head, or to a revision",
        "changes the database",
        ("magetui migrate", "magetui migrate --yes --lock-timeout-seconds 5 --lock-retries 3"),
        key="m",
        parameters=(REVISION, *LIMITS, DESPITE_PREFLIGHT, COMMIT_EACH, WAIT),
    ),
    Verb(
        "rollback",
        "downgrade the database to a revision, or by -1, -2 …",
        "destroys data",
        ("magetui rollback --revision -1", "magetui rollback --revision 42a14d61 --sql"),
        title="Roll back",
        key="b",
        parameters=(REVISION, *LIMITS, DESPITE_PREFLIGHT, COMMIT_EACH),
    ),
    Verb(
        "stamp",
        "set the current revision without running any SQL of the chain",
        "changes the database",
        ("magetui stamp head", "magetui stamp 42a14d61 --replace-unknown-revision 3fe8d1b64a05"),
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
        "finish a partially applied revision, and set the current revision to it",
        "changes the database",
        ("magetui finish", "magetui finish --in-doubt skip"),
        key="f",
        parameters=(IN_DOUBT, *LIMITS),
    ),
    Verb(
        "undo",
        "undo a partially applied revision, and set the current revision to the one before it",
        "destroys data",
        ("magetui plan undo", "magetui undo"),
        key="U",
        parameters=LIMITS,
    ),
    Verb(
        "repair",
        "take a damaged schema to a revision: do the missing operations, undo those of later ones",
        "destroys data",
        ("magetui plan repair --revision 42a14d61", "magetui repair --revision 42a14d61"),
        key="R",
        parameters=(REVISION, IN_DOUBT, *LIMITS, DESPITE_PREFLIGHT),
    ),
    Verb(
        "clean",
        "remove what earlier runs left: unused enum types, tables of batch operations, invalid indexes",
        "changes the database",
        ("magetui plan clean", "magetui clean"),
        title="Clean up",
        key="X",
        parameters=LIMITS,
    ),
    Verb(
        "backup",
        "write the complete database to one file, with pg_dump or SQLite's online backup",
        "writes a file",
        ("magetui backup --output before.dump",),
        title="Back up",
        key="B",
        parameters=(
            Parameter("--output", "the file to write (default: the database's name and the time, here)", "FILE"),
            Parameter("--pg-dump", "the pg_dump to use (default: the one on PATH)", "FILE"),
            LOCK_TIMEOUT,
            Parameter("--anyway", "start even if the disk may be too small"),
        ),
    ),
    Verb(
        "runs",
        "list past and present runs; show one run, or follow it while it continues",
        "reads",
        ("magetui runs", "magetui runs 7 --report"),
        key="u",
        parameters=(
            Parameter("ID", "the run to show or follow", "ID", kind=identifier),
            Parameter("--cancel", "ask the run to stop"),
            Parameter("--report", "print everything about the run, statement by statement, for the incident report"),
            Parameter("--prune", "delete the records of the oldest runs, as far as they are beyond a limit"),
            Parameter("--keep-runs", "with --prune: keep at most N records (default: 500; 0: all)", "N", kind=count),
            Parameter("--keep-days", "with --prune: keep those of the last N days (default: 0, all)", "N", kind=count),
            Parameter("--keep-megabytes", "with --prune: keep at most N MB (default: 500; 0: all)", "N", kind=count),
        ),
    ),
    Verb(
        "explain",
        "explain the error in a log",
        "reads",
        ("kubectl logs POD | magetui explain", "magetui explain pod.log"),
        key="E",
        parameters=(Parameter("FILE", "the log (default: standard input)", "FILE"),),
    ),
    Verb(
        "config",
        "show each setting and its source, the configuration files, and the named targets",
        "reads",
        ("magetui config",),
        title="Configuration",
    ),
    Verb(
        "demo",
        "build a practice incident in an embedded SQLite database and open it",
        "writes a file",
        ("magetui demo", "magetui demo locked"),
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
    """Return the verb with the name. Raises `KeyError`."""
    return {verb.name: verb for verb in VERBS}[name]
