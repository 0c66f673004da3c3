"""The live schema: tables with their sizes, and one table's details."""

from __future__ import annotations

from magetui.engine.errors import UsageError
from magetui.engine.workspace import Workspace
from magetui.model.schema import Table, TableDetail


def list_tables(workspace: Workspace, schema: str | None = None) -> tuple[Table, ...]:
    """All tables, or those of one schema. Raises `ConnectError`."""
    with workspace.reading() as connection:
        return workspace.backend.tables(connection, schema)


def describe_table(workspace: Workspace, name: str, schema: str | None = None) -> tuple[TableDetail, ...]:
    """The table of that name, in each schema that has one. Raises `UsageError` where none has."""
    with workspace.reading() as connection:
        found = workspace.backend.table_details(connection, schema, name)
        if found:
            return found
        others = [table.name for table in workspace.backend.tables(connection, schema)]
    near = sorted(other for other in others if name.lower() in other.lower())[:5]
    hint = f" Did you mean {' or '.join(near)}?" if near else " 'magetui schema' lists those there are."
    place = f" in the schema {schema}" if schema else ""
    raise UsageError(f"There is no table {name}{place}.{hint}")
