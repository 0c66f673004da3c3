"""The `context` of an `env.py` that works on several databases or schemas, for a run that is about one version table.

Without this class, Alembic would create a version table in each of them before it asks for steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alembic import context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory


class OneVersionTable(EnvironmentContext):
    """Runs the migrations in the contexts that `wanted` accepts, after `first`, and skips all others."""

    def __init__(
        self,
        config: Config,
        script: ScriptDirectory,
        wanted: Callable[[MigrationContext], bool],
        first: Callable[[MigrationContext], None],
        **options: Any,
    ) -> None:
        super().__init__(config, script, **options)
        self._wanted = wanted
        self._first = first
        self.reached = False
        self.skipped: list[str] = []

    def run_migrations(self, **arguments: Any) -> None:
        context = self.get_context()
        if self._wanted(context):
            self.reached = True
            self._first(context)
            super().run_migrations(**arguments)
        elif context.connection is not None:
            table = ".".join(filter(None, (context.version_table_schema, context.version_table)))
            self.skipped.append(table)
            print(f"{context.connection.engine.url!r}, {table}: skipped, this run is about another one")  # noqa: T201


# The functions of `alembic.context` reach the active instance through what its class has set up in that module.
OneVersionTable.create_module_class_proxy(vars(context), vars(context))


def create_schema(context: MigrationContext, name: str) -> None:
    """Create the default schema in the transaction of the first step, before Alembic creates its version table."""
    connection = context.connection
    assert connection is not None
    with context.begin_transaction(_per_migration=True):  # as Alembic does for its version table
        quoted = connection.dialect.identifier_preparer.quote(name)
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {quoted}")
    connection.dialect.default_schema_name = name  # for scripts that inspect: when it connected, there was none
