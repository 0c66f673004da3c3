"""A chain run step by step with Alembic alone, in this process, and the schema as the database reports it.

Tests compare the program's conclusions with this schema. The two share no code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.pool import NullPool

Schema = frozenset[tuple[object, ...]]

PARTS_OF_POSTGRESQL = """
select 'column', table_name::text, column_name::text, udt_name || coalesce(character_maximum_length::text, ''),
    is_nullable || ' ' || coalesce(column_default, '')
from information_schema.columns where table_schema = 'public' and table_name <> 'alembic_version'
union all select 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), ''
from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
    and conrelid::regclass::text <> 'alembic_version'
union all select 'index', tablename, indexname, indexdef, ''
from pg_indexes where schemaname = 'public' and tablename <> 'alembic_version'
union all select 'value', t.typname, e.enumlabel, '', '' from pg_enum e join pg_type t on t.oid = e.enumtypid
"""
PARTS_OF_SQLITE = "select type, tbl_name, name, sql, '' from sqlite_master where tbl_name <> 'alembic_version'"


class _BrokenOff(Exception):  # noqa: N818
    """The process that ran the revision was killed."""


class Steps:
    """A database and its chain. `upgrade` and `downgrade` go to a revision and commit."""

    def __init__(self, connection: Connection, scripts: Path) -> None:
        self.connection = connection
        self._config = Config()
        self._config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        self._script = ScriptDirectory.from_config(self._config)

    def upgrade(self, revision: str) -> None:
        """Upgrade to the revision and commit."""
        self._go(revision, "_upgrade_revs")

    def downgrade(self, revision: str) -> None:
        """Downgrade to the revision and commit."""
        self._go(revision, "_downgrade_revs")

    def _go(self, revision: str, steps_of: str) -> None:
        self.connection.commit()  # ends the transaction of earlier reads
        steps = getattr(self._script, steps_of)
        context = EnvironmentContext(self._config, self._script, fn=lambda current, _: steps(revision, current))
        with context:
            context.configure(connection=self.connection, render_as_batch=True)
            with context.begin_transaction():
                context.run_migrations()
        self.connection.commit()

    def statements(self, revision: str, direction: str, between: Callable[[str], None]) -> None:
        """Run one revision's function and call `between` with each changing statement before it runs.

        The last call passes an empty string. With `autocommit`, the database at a call is as a run that dies at this
        statement leaves it.
        """
        paused = False

        def before(_connection: object, _cursor: object, sql: str, *_: object) -> None:
            nonlocal paused
            if not paused and not sql.lstrip().upper().startswith(("SELECT", "PRAGMA")):
                paused = True
                try:
                    between(sql)
                finally:
                    paused = False

        context = MigrationContext.configure(self.connection, opts={"render_as_batch": True})
        setattr(context, "autocommit_block", nullcontext)  # noqa: B010 - no statement here uses a new enum value
        module = self._script.get_revision(revision).module
        event.listen(self.connection, "before_cursor_execute", before)
        try:
            with Operations.context(context):
                getattr(module, direction)()
        finally:
            event.remove(self.connection, "before_cursor_execute", before)
        between("")
        self.connection.commit()

    def broken_off(self, revision: str, direction: str, after: int) -> bool:
        """Run the first `after` statements of one revision's function. Return whether more statements remained."""
        run = 0

        def between(sql: str) -> None:
            nonlocal run
            if sql and run == after:
                raise _BrokenOff
            run += 1

        try:
            self.statements(revision, direction, between)
        except _BrokenOff:
            self.connection.rollback()
            return True
        return False

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        """Empty the version table until the block ends."""
        known = self.connection.execute(text("select version_num from alembic_version")).scalars().all()
        self.connection.execute(text("delete from alembic_version"))
        self.connection.commit()
        yield
        for revision in known:
            self.connection.execute(text("insert into alembic_version values (:revision)"), {"revision": revision})
        self.connection.commit()

    def schema(self) -> Schema:
        """Return every part of the schema as the server's functions write it. For SQLite: its SQL as a set of lines."""
        if self.connection.dialect.name == "postgresql":
            rows = self.connection.execute(text(PARTS_OF_POSTGRESQL)).all()
            return frozenset(tuple(row) for row in rows)
        rows = self.connection.execute(text(PARTS_OF_SQLITE)).all()
        return frozenset((*row[:3], _parts(row[3] or "")) for row in rows)


def _parts(sql: str) -> frozenset[str]:
    """Split SQL into a set: batch operations write constraints in no fixed order, and ALTER TABLE extends a line."""
    return frozenset(" ".join(part.split()).replace('"', "") for part in re.split(r"[\n,]", sql))


@contextmanager
def walking(url: str, scripts: Path, autocommit: bool = False) -> Iterator[Steps]:
    """Yield the steps of a chain on a new connection. With `autocommit`, each statement commits by itself."""
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg2")
    options = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    with create_engine(address, poolclass=NullPool, **options).connect() as connection:
        yield Steps(connection, scripts)
