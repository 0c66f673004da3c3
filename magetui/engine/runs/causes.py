"""The cause of a failed run, from the kind of its error: what it means, which rows it is about, and the next verb."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.model.names import quoted

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord
    from magetui.model.server import ErrorKind, ErrorSubject


@dataclass(frozen=True, slots=True)
class Cause:
    """Sentences for the operator. `sql` shows the rows that are wrong."""

    sentence: str
    sql: str | None = None


ADDS_COLUMN = re.compile(r"\badd\s+column\b", re.IGNORECASE)
NEW_COLUMN = "The table has rows, and the new column needs a value for them: give it a server_default."
CAUSES: Mapping[ErrorKind, str] = {
    "duplicates": "Several rows have the same values, and a unique index or constraint allows them once.",
    "nulls": "Some rows have no value in a column that may not be null.",
    "orphans": "Some rows refer to rows that do not exist, and a foreign key forbids that.",
    "check": "Some rows violate a check constraint.",
    "too-long": "Some values are too long for the type of their column.",
    "not-castable": "Some values cannot be converted to the new type of their column.",
    "rights": "The role lacks a right for this. Connect as the owner, or let the owner grant it.",
    "exists": (
        "An earlier run, a person or the application made it. 'magetui evidence' shows how much of the revision "
        "exists. If it is partially applied, 'magetui finish' completes it and 'magetui undo' takes it back. 'magetui "
        "clean' removes an unused type or the copy of a batch operation."
    ),
    "missing": (
        "The script expects something that does not exist. 'magetui evidence' compares the schema with the scripts."
    ),
    "in-use": "Other objects depend on it, so it cannot be dropped or changed before they are.",
    "disk": "The server has no room left for this, on its disk or within its limits.",
    "read-only": "The server takes no writes. 'magetui diagnose' says who made it so.",
}


def cause_of(record: RunRecord) -> Cause | None:
    """Return the cause of a run that failed; None if its error is of no known kind."""
    if record.outcome != "failed" or record.error_kind is None:
        return None
    if record.error_kind == "nulls" and record.statement is not None and ADDS_COLUMN.search(record.statement.sql):
        return Cause(NEW_COLUMN)
    return Cause(CAUSES[record.error_kind], _query(record.error_kind, record.subject))


def _query(kind: ErrorKind, subject: ErrorSubject | None) -> str | None:
    """Return the query that shows the rows, if the server named their table and columns."""
    if subject is None or subject.table is None or not subject.columns:
        return None
    table = ".".join(quoted(part) for part in (subject.schema, subject.table) if part)
    columns = ", ".join(map(quoted, subject.columns))
    match kind:
        case "duplicates":
            return f"SELECT {columns}, count(*) FROM {table} GROUP BY {columns} HAVING count(*) > 1"
        case "nulls":
            return f"SELECT * FROM {table} WHERE {quoted(subject.columns[0])} IS NULL"
        case _:
            return None
