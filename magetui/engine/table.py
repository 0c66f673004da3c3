"""One table in full, for an operator who opened it: its facts, who has locks on it, which tables refer to it, its rows.

The facts come in the order in which an operator waits for them. The rows are read only when somebody asks for them, and
nothing keeps them: no log, no journal, no file.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from magetui.engine.errors import UsageError
from magetui.engine.sessions.listing import all_sessions, shown_sessions
from magetui.engine.workspace import Workspace
from magetui.model.schema import FirstRows, ForeignKey, Table, TableDetail, Value
from magetui.model.sessions import Session

WAITED_PARTS = ("", "a row of ", "a page of ", "extending ")  # as sessions call the lock that they wait for


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock that a session holds on the table, or waits for. On SQLite, the lock is on the complete file."""

    session: Session
    mode: str
    is_held: bool


@dataclass(frozen=True, slots=True)
class Referrer:
    """A foreign key of another table, or of the table itself, that refers to the table."""

    table: Table
    key: ForeignKey


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What is known of a table. `locks` and `referrers` are None until they are read."""

    detail: TableDetail
    locks: tuple[TableLock, ...] | None = None
    referrers: tuple[Referrer, ...] | None = None


def read_table(workspace: Workspace, schema: str | None, name: str) -> Generator[TableFacts, None, None]:
    """Yield the facts of a table, more with each value. Raises `UsageError` if there is no such table."""
    backend = workspace.backend
    with workspace.reading() as connection:
        detail = next(iter(backend.table_details(connection, schema, name)), None)
        if detail is None:
            raise UsageError(f"There is no table {name} any more.")
        facts = TableFacts(detail)
        yield facts
        sessions = shown_sessions(workspace, all_sessions(workspace, connection))
        facts = replace(facts, locks=locks_on(sessions, backend.lock_names(connection, detail.table)))
        yield facts
        yield replace(facts, referrers=referrers_of(detail.table, backend.table_details(connection)))


def first_rows(workspace: Workspace, table: Table) -> FirstRows:
    """Return the first rows of a table, or why they cannot be read. Raises `ConnectError` and `MagetuiError`."""
    with workspace.reading() as connection:
        found = workspace.backend.first_rows(connection, table)
    clean = workspace.target.clean

    def cleaned(value: Value) -> Value:
        return clean(value) if isinstance(value, str) else value

    return replace(
        found,
        rows=tuple(tuple(map(cleaned, row)) for row in found.rows),
        problem=None if found.problem is None else clean(found.problem),
    )


def locks_on(sessions: Sequence[Session], names: frozenset[str] | None) -> tuple[TableLock, ...]:
    """Return the locks on the table that has these names, those that are held first. None: all locks are on it."""
    held = [
        TableLock(session, lock.mode, is_held=True)
        for session in sessions
        for lock in session.holds
        if names is None or lock.relation in names
    ]
    waited = {part + name for name in names or () for part in WAITED_PARTS}
    wanted = [
        TableLock(session, session.waits_for.mode or "a lock", is_held=False)
        for session in sessions
        if session.waits_for is not None and session.waits_for.relation in waited
    ]
    return (*held, *wanted)


def referrers_of(table: Table, details: Sequence[TableDetail]) -> tuple[Referrer, ...]:
    """Return the foreign keys that refer to the table."""
    return tuple(
        Referrer(detail.table, key)
        for detail in details
        for key in detail.foreign_keys
        if key.referred_schema == table.schema and _is_same(key.referred_table, table)
    )


def _is_same(name: str, table: Table) -> bool:
    """Return whether a foreign key's text names the table. SQLite, which has no schemas, ignores case."""
    return name == table.name if table.schema is not None else name.lower() == table.name.lower()
