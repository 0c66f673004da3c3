"""Sentences that several backends need: why a table was not counted, or is no version table."""

from __future__ import annotations

NO_TIME_TO_COUNT = "there was no time left to count"
COUNTING_TOOK_TOO_LONG = "counting took too long"
TABLE_IS_LOCKED = "somebody has the table locked"


def no_version_column(table: str) -> str:
    """Return why a table with the version table's name is no version table."""
    return f"{table} has no column version_num, so it is not a version table of Alembic's."
