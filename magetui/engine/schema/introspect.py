"""Introspection of the live schema for its own sake: all tables with their sizes, or the details of one table.

Plans and diagnoses read a snapshot instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from magetui.engine.errors import UsageError

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace
    from magetui.model.schema import Table, TableDetail


def list_tables(workspace: Workspace, schema: str | None = None) -> tuple[Table, ...]:
    """Return all tables, or those of one schema. Raises `ConnectError`."""
    with workspace.reading() as connection:
        return workspace.backend.tables(connection, schema)


def describe_tables(workspace: Workspace) -> tuple[TableDetail, ...]:
    """Return the details of all tables. Raises `ConnectError`."""
    with workspace.reading() as connection:
        return workspace.backend.table_details(connection)


def describe_table(workspace: Workspace, name: str, schema: str | None = None) -> tuple[TableDetail, ...]:
    """Return the table of that name from each schema that has one. Raises `UsageError` if no schema has one."""
    with workspace.reading() as connection:
        details = workspace.backend.table_details(connection, schema, name)
        if details:
            return details
        others = [table.name for table in workspace.backend.tables(connection, schema)]
    near = sorted(other for other in others if name.lower() in other.lower())[:5]
    hint = f" Did you mean {' or '.join(near)}?" if near else " 'magetui schema' lists all tables."
    where = f" in the schema {schema}" if schema else ""
    raise UsageError(f"There is no table {name}{where}.{hint}")
