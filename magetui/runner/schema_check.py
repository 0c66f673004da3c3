"""The schema before and after a run, compared: what a run says of the database is read back, never concluded.

A rollback does not undo everything. CREATE INDEX CONCURRENTLY leaves an invalid index, an autocommit block commits, and
env.py may work in other schemas. So all objects are read before the first statement, and again after the last one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from magetui.backends.base import Backend
from magetui.model.schema_change import SchemaChange, SchemaObject, schema_changes
from magetui.protocol import events
from magetui.protocol.journal import now

MOST_LISTED = 200  # changes in the journal
CREATES_INDEX = re.compile(r"\s*create\s+(?:unique\s+)?index\b([^(]*)", re.IGNORECASE)


class SchemaCheck:
    """The comparison of one run. `begin` reads the schema; without it, or if that failed, nothing can be compared."""

    def __init__(self, backend: Backend, reader: Engine) -> None:
        self._backend = backend
        self._reader = reader
        self._before: tuple[SchemaObject, ...] | None = None
        self._problem: str | None = None
        self._index_words: set[str] = set()

    def begin(self) -> None:
        """Read the schema before the first statement. An error is noted, and does not stop the run."""
        try:
            self._before = self._read()
        except (SQLAlchemyError, OSError) as error:
            self._problem = self._backend.failure(error).message

    def note(self, statement: str) -> None:
        """Note a statement of the run, for the indexes that it creates."""
        if creates := CREATES_INDEX.match(statement):
            self._index_words |= {*re.findall(r'"[^"]+"|\w+', creates[1].replace("%%", "%"))}

    def changes(self) -> tuple[SchemaChange, ...]:
        """Return the changes since `begin`. Raises SQLAlchemy's errors, and `LookupError` if `begin` has failed."""
        if self._before is None:
            raise LookupError(self._problem or "the schema was not read before the run")
        return schema_changes(self._before, self._read())

    def result(self, *, readable: bool) -> events.SchemaCompared:
        """Return the event with all changes, or with the reason why they are not known."""
        if not readable:
            return events.SchemaCompared(at=now(), problem="the database could not be read afterwards")
        try:
            changes = self.changes()
        except LookupError as error:
            return events.SchemaCompared(at=now(), problem=str(error))
        except (SQLAlchemyError, OSError) as error:
            return events.SchemaCompared(at=now(), problem=self._backend.failure(error).message)
        first = sorted(changes, key=lambda change: (not change.invalid, change.is_sequence_value))[:MOST_LISTED]
        return events.SchemaCompared(at=now(), changes=tuple(first), more=len(changes) - len(first))

    def broken_indexes(self) -> tuple[str, ...]:
        """Return the invalid indexes that a statement of the run names: the run did not build them. Raises as above."""
        with self._reader.connect() as connection:
            invalid = [left for left in self._backend.leftovers(connection) if left.kind == "invalid-index"]
        return tuple(
            f"{left.schema}.{left.name}" if left.schema else left.name
            for left in invalid
            if {left.name, f'"{left.name}"'} & self._index_words
        )

    def _read(self) -> tuple[SchemaObject, ...]:
        with self._reader.connect() as connection:
            return self._backend.schema_objects(connection)


def described(changes: Iterable[SchemaChange]) -> str:
    """Return the changes that forbid another attempt, as part of a sentence: 'index public.ix_a is new'."""
    verbs = {"new": "is new", "gone": "is gone", "changed": "has changed"}
    texts = [f"{c.kind} {c.name} {'is left, invalid' if c.invalid else verbs[c.change]}" for c in changes]
    more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
    return ", ".join(texts[:3]) + more
