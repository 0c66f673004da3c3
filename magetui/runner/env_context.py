"""The `context` of an `env.py` that works on several databases, while a run is about one of them.

Alembic's multi-database template connects to all and runs the scripts on each. On those that the plan was not made for
nothing may be run, and Alembic would even make a version table there before it asks for steps.
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
    """Runs the migrations where `wanted` says so, after what comes `first`, and passes the other databases over."""

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
        self.met = False

    def run_migrations(self, **handed: Any) -> None:
        connection = self.get_context().connection
        if self._wanted(connection):
            self.met = True
            self._first(self.get_context())
            super().run_migrations(**handed)
        elif connection is not None:
            print(f"{connection.engine.url!r}: passed over, since this run is about another database")  # noqa: T201


# The functions of `alembic.context` reach the instance at work through what its class has set up there.
OneDatabase.create_module_class_proxy(vars(context), vars(context))


def create_schema(context: MigrationContext, name: str) -> None:
    """Create the schema where tables go, in the transaction of the first step, and before Alembic's own table."""
    connection = context.connection
    assert connection is not None
    with context.begin_transaction(_per_migration=True):  # as Alembic does for its version table
        connection.execute(CreateSchema(name, if_not_exists=True))
    connection.dialect.default_schema_name = name  # for scripts that inspect: it had none when it connected
