"""The live schema as facts, without the version table: what evidence compares with the schema of each revision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.schema.facts import Fact
from magetui.engine.schema.snapshot import Snapshot
from magetui.engine.workspace import Workspace
from magetui.model.schema import BATCH_PREFIX, TableDetail


@dataclass(frozen=True)
class Live:
    tables: Mapping[str, frozenset[Fact]]
    enums: Mapping[str, frozenset[Fact]] = field(default_factory=dict)


def live_schema(workspace: Workspace, snapshot: Snapshot) -> Live:
    """Return the facts of a snapshot's tables and enum types, without those of the version table."""
    scripts, default_schema = workspace.project.scripts, snapshot.server.schema
    details = named_as_originals(snapshot.details)
    state = SchemaState.read(workspace.target.dialect, default_schema, details, snapshot.enum_types)
    version_table = state.name(scripts.version_table_schema, scripts.version_table)
    tables = {name: state.facts(name) for name in state.tables if name != version_table}
    return Live(tables, {name: state.enum_facts(name) for name in state.enums})


def named_as_originals(details: Iterable[TableDetail]) -> tuple[TableDetail, ...]:
    """Return the tables, where a copy that a batch operation left has its table's name if that table is gone."""
    tables = tuple(details)
    names = {(detail.table.schema, detail.table.name) for detail in tables}
    return tuple(
        replace(detail, table=replace(detail.table, name=original))
        if detail.table.name.startswith(BATCH_PREFIX)
        and (detail.table.schema, original := detail.table.name.removeprefix(BATCH_PREFIX)) not in names
        else detail
        for detail in tables
    )
