"""The live schema as facts, read in one go and without the version table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from magetui.engine.schema.facts import Fact, live_facts, table_name
from magetui.engine.workspace import Workspace
from magetui.model.schema import BATCH_PREFIX, TableDetail


@dataclass(frozen=True)
class Live:
    """The facts of the live schema, by table and by enum type."""

    tables: Mapping[str, frozenset[Fact]]
    enums: Mapping[str, frozenset[Fact]] = field(default_factory=dict)


def read_live(workspace: Workspace) -> tuple[Live, str | None]:
    """The facts of the live schema without the version table's, and the schema where unqualified names go."""
    scripts = workspace.project.scripts
    with workspace.reading() as connection:
        usual = workspace.backend.server(connection).schema
        details = workspace.backend.table_details(connection)
        enums = workspace.backend.enum_types(connection)
    tables = live_facts(standing(details), workspace.target.dialect, usual)
    tables.pop(table_name(scripts.version_table, scripts.version_table_schema, usual), None)
    types = {table_name(one.name, one.schema, usual): one.values for one in enums}
    facts = {
        name: frozenset({Fact("enum", name), *(Fact("enum-value", name, one, one) for one in values)})
        for name, values in types.items()
    }
    return Live(tables, facts), usual


def standing(details: Iterable[TableDetail]) -> tuple[TableDetail, ...]:
    """The tables, each copy of a batch operation in the place of its table where that is gone already."""
    several = tuple(details)
    names = {(one.table.schema, one.table.name) for one in several}
    return tuple(
        replace(one, table=replace(one.table, name=original))
        if one.table.name.startswith(BATCH_PREFIX)
        and (one.table.schema, original := one.table.name.removeprefix(BATCH_PREFIX)) not in names
        else one
        for one in several
    )
