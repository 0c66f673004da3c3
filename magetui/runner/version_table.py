"""The rows of the version table: how a run reads them, and writes them in the cases where Alembic does not."""

from __future__ import annotations

from collections.abc import Iterable

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.engine import Connection, Engine

from magetui.backends.base import Backend
from magetui.protocol.scripts import Scripts


class VersionTableUnreadable(Exception):  # noqa: N818 - it says what happened
    """The version table exists but cannot be read."""


def read_current(backend: Backend, reader: Engine, scripts: Scripts) -> tuple[str, ...]:
    """Return the current revision of the database. Raises `VersionTableUnreadable`, and SQLAlchemy's errors."""
    with reader.connect() as connection:
        tables = backend.version_tables(connection, scripts.version_table, scripts.version_table_schema)
    effective = next((table for table in tables if table.effective), None)
    if effective is None:
        return ()
    if effective.rows is None:
        raise VersionTableUnreadable(f"The version table cannot be read: {effective.problem}")
    return effective.rows


def uses_version_table(backend: Backend, reader: Engine, scripts: Scripts, context: MigrationContext) -> bool:
    """Return whether env.py configured this project's version table, in the schema where `reader` finds it."""
    connection = context.connection
    assert connection is not None
    used = backend.version_schema(connection, context.version_table, context.version_table_schema)
    with reader.connect() as own:
        planned = backend.version_schema(own, scripts.version_table, scripts.version_table_schema)
    return (context.version_table, used) == (scripts.version_table, planned)


def replace_current(connection: Connection, scripts: Scripts, old: str, new: str | None) -> bool:
    """Replace the row `old` by `new` (None: delete it) in one statement. Returns False if the row does not exist."""
    table = _version_table(scripts)
    matches = table.c.version_num == old
    if new is None:
        result = connection.execute(table.delete().where(matches))
    else:
        result = connection.execute(table.update().where(matches).values(version_num=new))
    return bool(result.rowcount == 1)


def set_current(connection: Connection, scripts: Scripts, wanted: Iterable[str]) -> None:
    """Set the rows of the version table, which must exist, to exactly `wanted`."""
    table = _version_table(scripts)
    rows = set(connection.execute(table.select()).scalars())
    for old in sorted(rows - set(wanted)):
        connection.execute(table.delete().where(table.c.version_num == old))
    for new in sorted(set(wanted) - rows):
        connection.execute(table.insert().values(version_num=new))


def _version_table(scripts: Scripts) -> Table:
    column = Column("version_num", String)
    return Table(scripts.version_table, MetaData(), column, schema=scripts.version_table_schema)
