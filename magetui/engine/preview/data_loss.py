"""The data loss of a plan: the rows of tables and columns that it drops, and values that enum types no longer have.

Values that the plan overwrites are named too, but not counted: only those who know the data can say how much is lost.

The operations are followed in their order, since a table may be renamed first, and what the plan made itself is no
loss. A count waits for no lock. If there is no time to count, the loss carries the server's estimate and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from magetui.engine.evidence.inspection import recorded_steps
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.preview.column_rules import narrows, only_casts
from magetui.engine.sql.ddl import statements_of
from magetui.model import operations as ops
from magetui.model.plan import Loss, LossKind, Plan
from magetui.model.schema import Counted, Table, Wanted

if TYPE_CHECKING:
    from magetui.engine.evidence.table_state import Name
    from magetui.engine.schema.snapshot import Reading

BUDGET_MS = 2_000  # for all counts together
COUNT_MS = 1_000  # for one table
SHOWN_CHARACTERS = 100
UPDATES = re.compile(r"(?<!\bon )(?<!\bfor )\bupdate\b", re.IGNORECASE)
MAY_TAKE_ROWS = re.compile(rf"\b(?:delete|truncate|drop)\b|{UPDATES.pattern}", re.IGNORECASE)
ROWS_CHANGE = re.compile(rf"\bdelete\b|{UPDATES.pattern}", re.IGNORECASE)
CASCADE = re.compile(r"\bcascade\b", re.IGNORECASE)
# Statements about objects that hold no rows; a body that is only stored runs nothing.
HOLDS_NO_ROWS = re.compile(
    r"\s*(?:create(?:\s+or\s+replace)?|alter|drop)\s+(?:function|procedure|trigger|(?:materialized\s+)?view|index|"
    r"sequence|policy|rule)\b(?![^;]*\bcascade\b)[^;]*(?:\$.*\$[^;]*)?;?\s*$",
    re.IGNORECASE | re.DOTALL,
)
WHERE = "at most: only rows that match its WHERE go"
CASCADES = "rows of other tables that refer to these rows go too"


@dataclass(frozen=True, slots=True)
class Losses:
    """The known losses in the order of the plan. `undecidable` are sentences about other possible losses."""

    known: tuple[Loss, ...]
    undecidable: tuple[str, ...] = ()


def plan_losses(reading: Reading, plan: Plan, budget_ms: int = BUDGET_MS) -> Losses:
    """Return what a run of the plan loses. Raises `MagetuiError` if scripts or database cannot be read.

    A database without tables has nothing to lose, whatever the scripts decide when they look at it.
    """
    version_table = reading.workspace.project.scripts.version_table
    if all(table.name == version_table for table in reading.overview.tables):
        return Losses(())
    steps = recorded_steps(reading, plan)
    operations = [operation for _, _, recorded in steps for operation in recorded.operations]
    unknown = tuple(f"{revision}: {recorded.undecidable}" for revision, _, recorded in steps if recorded.undecidable)
    losses = read_losses(reading, operations, budget_ms)
    return Losses(losses.known, (*unknown, *losses.undecidable))


def read_losses(reading: Reading, operations: Iterable[ops.Operation], budget_ms: int = BUDGET_MS) -> Losses:
    """Return what the operations, done one after the other on this database, lose. Raises as the reading does."""
    snapshot, dialect = reading.snapshot, reading.workspace.backend.name
    default_schema = None if dialect == "sqlite" else snapshot.server.schema
    live = SchemaState.read(dialect, default_schema, snapshot.details, snapshot.enum_types)
    tables = (detail.table for detail in snapshot.details)
    finder = LossFinder(live, {(table.schema, table.name): table for table in tables})
    for operation in operations:
        finder.apply(operation)
    stakes = finder.stakes()
    counted = _counted(reading, stakes, budget_ms)
    return Losses(tuple(stake.loss(counted[stake]) for stake in stakes), tuple(dict.fromkeys(finder.undecidable)))


@dataclass(frozen=True, slots=True)
class Stake:
    """A part of the live database that goes, and whose rows are counted."""

    kind: LossKind
    table: Table
    wanted: Wanted = field(default_factory=Wanted)
    at_most: str | None = None  # why fewer rows, or more, may go than the count says

    def loss(self, counted: Counted) -> Loss:
        table, column, value = self.table, self.wanted.column, self.wanted.value
        is_empty = counted.exact and counted.rows == 0  # then fewer or more rows cannot go
        is_exact = is_empty or (counted.exact and self.at_most is None)
        problem = None if is_empty else "; ".join(filter(None, (self.at_most, counted.problem))) or None
        return Loss(self.kind, table.schema, table.name, column, counted.rows, is_exact, problem, value)


def _counted(reading: Reading, stakes: Sequence[Stake], budget_ms: int) -> Mapping[Stake, Counted]:
    """Count the rows of each stake. A table is read once for all of its stakes, and small tables come first."""
    deadline = monotonic() + budget_ms / 1000
    by_table: dict[Table, list[Stake]] = {}
    for stake in stakes:
        by_table.setdefault(stake.table, []).append(stake)
    counted: dict[Stake, Counted] = {}
    for table in sorted(by_table, key=lambda table: (table.bytes is None, table.bytes or 0)):
        left_ms = int((deadline - monotonic()) * 1000)
        wanted = [stake.wanted for stake in by_table[table]]
        rows = reading.count(table, wanted, max(0, min(COUNT_MS, left_ms)))
        counted.update(zip(by_table[table], rows, strict=True))
    return counted


class LossFinder:
    """Follows the operations, and collects what each one takes away from the live schema."""

    def __init__(self, live: SchemaState, tables: Mapping[Name, Table]) -> None:
        self._live = live
        self._tables = tables
        self._state = live
        self._stakes: dict[Stake, None] = {}
        self.undecidable: list[str] = []

    def stakes(self) -> tuple[Stake, ...]:
        """Return what goes. If a complete table goes, its parts are not listed."""
        dropped = {stake.table for stake in self._stakes if stake.kind == "table"}
        return tuple(stake for stake in self._stakes if stake.kind == "table" or stake.table not in dropped)

    def apply(self, operation: ops.Operation) -> None:
        if isinstance(operation, ops.ExecuteSql):
            self._execute(operation.sql)
            return
        self._note(operation)
        self._state = self._state.as_far_as_read(operation)

    def _note(self, operation: ops.Operation) -> None:
        """Collect what the operation takes away from the state before it."""
        table = self._state.tables.get(self._state.name_of(operation)) if isinstance(operation, ops.OnTable) else None
        match operation:
            case ops.RenameEnumValue():
                self.undecidable.append(f"the value {operation.value} of the type {operation.name} is renamed")
            case ops.UnclearCall():
                self.undecidable.append(f"{operation.name} may remove data, but it cannot be followed")
            case ops.DropTable() if table is not None and table.live is not None:
                self._stake("table", table.live)
            case ops.DropColumn(column=name) if table is not None and table.live is not None:
                if name in table.live_columns:
                    self._stake("column", table.live, Wanted(table.live_columns[name]))
            case ops.AlterColumn(column=name, type=str()) if table is not None and table.live is not None:
                if name in table.live_columns:
                    self._converted(table.live, table.live_columns[name], operation)

    def _converted(self, live: Name, column: str, operation: ops.AlterColumn) -> None:
        """Collect the values that another type changes; of an enum type, those that the new type does not have."""
        table, new_type = self._live.at(live), operation.type or ""
        now = (table.column_type(column) if table is not None else None) or ""
        has = self._live.enums.get(self._live.type_name(now))
        gets = self._state.enums.get(self._state.type_name(new_type))
        if has is not None and gets is not None:
            for value in has:
                if value not in gets:
                    self._stake("enum-value", live, Wanted(column, value))
        using, name = operation.using, f"{live[1]}.{column}"
        if using is not None and not only_casts(using, operation.column):
            self.undecidable.append(f"the values of {name} are replaced by {_shown(using)}")
        elif has is None and gets is None and narrows(now, new_type, self._live.dialect, explicit=using is not None):
            self.undecidable.append(f"values of {name} are cut or rounded to fit into {new_type}")

    def _execute(self, sql: str) -> None:
        for statement in statements_of(sql, self._live.dialect):
            if HOLDS_NO_ROWS.match(statement.text):
                continue
            for operation in statement.schema:
                unread = isinstance(operation, ops.Unclear) and MAY_TAKE_ROWS.search(statement.text)
                takes_columns = isinstance(operation, ops.DropType) and CASCADE.search(statement.text)
                if unread or takes_columns:
                    self._unread(statement.text)
                self.apply(operation)
            truncated = [operation for operation in statement.locks if isinstance(operation, ops.TruncateTable)]
            tables = (self._state.tables.get(self._state.name_of(operation)) for operation in truncated)
            live = [table.live for table in tables if table is not None and table.live is not None]
            for path in self._referring(live) if any(operation.cascade for operation in truncated) else live:
                self._stake("rows", path)
            if ROWS_CHANGE.search(statement.text) and not truncated:
                self._rows_changed(statement.text)

    def _rows_changed(self, sql: str) -> None:
        """Collect the tables that DELETE takes rows of, and the values that UPDATE overwrites. Nulls are no loss."""
        from magetui.engine.preview import query_locks  # loads sqlglot: only for plans with such SQL

        try:
            statements = query_locks.parsed(sql, self._state.dialect)
        except Exception:  # noqa: BLE001 - whatever the parser raises of odd input
            self._unread(sql)
            return
        for change in query_locks.row_changes(statements, self._state):
            table = None if change.table is None else self._state.at(change.table)
            if change.table is None:
                self._unread(change.sql)
            elif table is None or table.live is None:
                continue
            elif change.columns is None:
                more = CASCADES if self._referring([table.live], "CASCADE") != [table.live] else None
                reasons = (WHERE if change.is_partial else None, more)
                self._stake("rows", table.live, at_most="; ".join(filter(None, reasons)) or None)
            elif lost := [table.live_columns[name] for name in change.columns if name in table.live_columns]:
                columns = " and ".join(f"{table.live[1]}.{column}" for column in lost)
                self.undecidable.append(f"values of {columns} are overwritten: {_shown(change.sql)}")

    def _referring(self, paths: Sequence[Name], on_delete: str | None = None) -> list[Name]:
        """Return the live tables with those that refer to them, and so on: by any foreign key, or by such keys."""
        tables = list(paths)
        for path in tables:  # grows during the loop
            for key, other in self._live.referring(path):
                if other not in tables and (on_delete is None or key.on_delete == on_delete):
                    tables.append(other)
        return tables

    def _unread(self, sql: str) -> None:
        self.undecidable.append(f"this SQL may remove data, but its text does not say which: {_shown(sql)}")

    def _stake(self, kind: LossKind, live: Name, wanted: Wanted | None = None, at_most: str | None = None) -> None:
        self._stakes[Stake(kind, self._tables[live], wanted or Wanted(), at_most)] = None


def _shown(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"
