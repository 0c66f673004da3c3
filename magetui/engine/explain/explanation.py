"""What an error in a log means: what happened, what it left, the next verb; and what the live database says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.engine.diagnosis.diagnosis import diagnose
from magetui.engine.errors import MagetuiError
from magetui.engine.evidence.inspection import recorded_steps
from magetui.engine.plan import make_plan
from magetui.engine.preview.preflight.preflight import preflight
from magetui.engine.runs.causes import CAUSES

if TYPE_CHECKING:
    from magetui.engine.explain.errors import Trouble
    from magetui.engine.explain.reading import LogError
    from magetui.engine.schema.snapshot import Reading

# What happened, and the verb that shows more.
MEANINGS: Mapping[Trouble, tuple[str, str]] = {
    **{kind: (sentence, "preflight") for kind, sentence in CAUSES.items()},
    "rights": (CAUSES["rights"], "diagnose"),
    "read-only": (CAUSES["read-only"], "diagnose"),
    "disk": (CAUSES["disk"], "diagnose"),
    "exists": (CAUSES["exists"], "evidence"),
    "missing": (CAUSES["missing"], "evidence"),
    "lock-timeout": ("Another session held a lock for longer than the migration waited.", "locks"),
    "statement-timeout": (
        "A statement took longer than its time limit allows. 'migrate --statement-timeout-seconds' sets another limit.",
        "plan",
    ),
    "deadlock": ("The migration and another session waited for each other, and the server ended one of them.", "locks"),
    "lost": ("The connection to the server ended during the migration.", "diagnose"),
    "unsafe-value": (
        "A value was used that the same transaction had added to an enum type. PostgreSQL allows it only after a "
        "commit: the script needs an autocommit_block around ALTER TYPE.",
        "preflight",
    ),
    "in-transaction": (
        "The statement cannot run inside of a transaction: the script needs an autocommit_block around it.",
        "preflight",
    ),
    "no-batch": (
        "SQLite cannot change a table in this way. The script needs op.batch_alter_table, or the database PostgreSQL.",
        "preflight",
    ),
    "not-null-column": (
        "The table has rows, and the new column needs a value for them: give it a server_default.",
        "preflight",
    ),
    "syntax": ("The server does not understand a statement of the script.", "plan"),
    "unknown-revision": (
        "The version table names a revision that the scripts do not have: another release, or another branch, has "
        "migrated the database.",
        "diagnose",
    ),
    "broken-chain": ("A script names a revision as its parent that no script has.", "history"),
    "several-heads": (
        "The scripts have several heads, so 'head' says nothing. Merge them with 'alembic merge heads', or migrate to "
        "all of them: 'migrate --revision heads'.",
        "history",
    ),
    "overlap": ("The version table has several rows, and one of them is an ancestor of another.", "diagnose"),
    "two-of-one": ("Two scripts have the same revision id.", "history"),
    "no-version-row": ("The version table changed while the migration ran: another migration was faster.", "diagnose"),
    "id-too-long": ("The id of the revision is longer than the column version_num can hold.", "preflight"),
    "no-schema": ("The search_path names no schema that exists, so there is no place for a table.", "diagnose"),
    "no-config": ("Alembic did not find its configuration or its scripts.", "config"),
    "import": ("A module that env.py or a script imports is not installed where the migration runs.", "diagnose"),
    "connection": ("The server was not reached.", "diagnose"),
    "password": ("The server refused the user or the password.", "diagnose"),
    "no-database": ("The database does not exist under that name.", "diagnose"),
    "too-many-connections": ("The server has no connection left for the migration.", "diagnose"),
    "pending": ("Revisions are pending: the database has to be migrated first.", "plan"),
}
# Errors before any statement of a revision ran: nothing can be left behind.
BEFORE = frozenset(
    {
        *("unknown-revision", "broken-chain", "several-heads", "overlap", "two-of-one", "no-config", "connection"),
        *("password", "no-database", "too-many-connections", "pending"),
    }
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """An explained error. `sentences` are in the order of reading; `live` are about the present database."""

    error: LogError
    sentences: tuple[str, ...]
    next: str
    live: tuple[str, ...] = ()


def explain(error: LogError) -> Explanation:
    """Return what the error means, as far as the log alone says it."""
    meaning, verb = MEANINGS[error.trouble]
    half = error.transactional is False and error.trouble not in BEFORE
    sentences = (meaning, *_left(error))
    return Explanation(error, sentences, "evidence" if half else verb)


def _left(error: LogError) -> Iterator[str]:
    if error.trouble in BEFORE or error.direction is None:
        return
    if error.trouble == "lost":
        yield (
            "The log cannot say whether the server has committed anything: 'magetui diagnose' reads the current "
            "revision."
        )
    elif error.transactional is None:
        yield "The log does not say whether the server took back what ran before."
    elif error.transactional:
        yield (
            "The server took back what the transaction had done. What an autocommit_block had committed stays, and so "
            "do earlier revisions if env.py commits each of them."
        )
    else:
        yield "The statements before this one are committed, each by itself: a part of the revision may be there."


def compare(explanation: Explanation, reading: Reading) -> tuple[str, ...]:
    """Return what the live database says of the error. Raises `MagetuiError` if it cannot be read."""
    diagnosis = diagnose(reading)
    first = diagnosis.findings[0]
    sentences = [first.message]
    revision = explanation.error.revision
    chain = reading.workspace.chain
    if revision is None or not diagnosis.knows_pending:
        return tuple(sentences)
    known = next((name for name in chain.by_id if name.startswith(revision)), None)
    if known is None:
        sentences.append(f"The scripts here do not have {revision}.")
    elif known in diagnosis.pending and explanation.error.direction == "upgrade":
        sentences += _again(reading, known)
    elif known in chain.applied(diagnosis.current):
        sentences.append(f"{known} is applied.")
    return tuple(sentences)


def _again(reading: Reading, revision: str) -> Iterator[str]:
    """Yield whether the revision would fail again."""
    try:
        answers = preflight(reading, recorded_steps(reading, make_plan(reading, "migrate", revision)))
    except MagetuiError as error:
        yield f"{revision} is pending, and whether it would fail again is not known: {error.message}"
        return
    step = None if answers is None else next((one for one in answers.steps if one.revision == revision), None)
    if step is None or step.answer == "unknown":
        yield f"{revision} is pending. Whether it would fail again is not known."
    elif step.answer == "passes":
        yield f"{revision} is pending, and by now nothing stops it."
    else:
        causes = "; ".join(cause.said for cause in step.causes if cause.answer == "fails")
        yield f"{revision} is pending, and would fail again: {causes}."
