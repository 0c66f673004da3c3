"""The `context` of an `env.py` that works on several databases, for a run that is about one of them.

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
from sqlalchemy import Connection
from sqlalchemy.schema import CreateSchema


class OneDatabase(EnvironmentContext):
    """Runs the migrations on the connections that `wanted` accepts, after `first`, and skips the other databases."""

    def __init__(
        self,
        config: Config,
        script: ScriptDirectory,
        wanted: Callable[[Connection | None], bool],
        first: Callable[[MigrationContext], None],
        **options: Any,
    ) -> None:
        super().__init__(config, script, **options)
        self._wanted = wanted
        self._first = first
        self.reached = False

    def run_migrations(self, **arguments: Any) -> None:
        connection = self.get_context().connection
        if self._wanted(connection):
            self.reached = True
            self._first(self.get_context())
            super().run_migrations(**arguments)
        elif connection is not None:
            print(f"{connection.engine.url!r}: skipped, since this run is about another database")  # noqa: T201


# The functions of `alembic.context` reach the active instance through what its class has set up in that module.
OneDatabase.create_module_class_proxy(vars(context), vars(context))


def create_schema(context: MigrationContext, name: str) -> None:
    """Create the default schema in the transaction of the first step, before Alembic creates its version table."""
    connection = context.connection
    assert connection is not None
    with context.begin_transaction(_per_migration=True):  # as Alembic does for its version table
        connection.execute(CreateSchema(name, if_not_exists=True))
    connection.dialect.default_schema_name = name  # for scripts that inspect: when it connected, there was none
