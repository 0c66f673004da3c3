"""What a plan would take away for good: rows of tables and columns that it drops, and values that types no longer have.

What it writes over is told too, but not counted: how much of it is lost is for who knows the data to say.

The operations say what goes; the database says how many rows that is. They are followed in their order, since a table
may be renamed first, and what the plan itself had made is no loss. Counting is a reading like any other: it waits for
nobody, and what cannot be counted in the time there is stands as the server's estimate, said to be one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

from sqlalchemy import Connection

from magetui.backends.base import Backend
from magetui.engine.evidence.recording import recorded_steps
from magetui.engine.preview.lossy_casts import narrows, only_casts
from magetui.engine.sql.ddl import operations_of
from magetui.engine.sql.statement import parser_of
from magetui.engine.workspace import Workspace
from magetui.model.operations import (
    AddColumn,
    AlterColumn,
    CreateTable,
    CreateType,
    DropColumn,
    DropTable,
    DropType,
    ExecuteSql,
    Operation,
    RenameEnumValue,
    RenameTable,
    RenameType,
    Unclear,
)
from magetui.model.plan import Plan
from magetui.model.schema import Counted, EnumType, Table, TableDetail, Wanted

BUDGET_MS = 2_000  # for all counts together
COUNT_MS = 1_000  # for one table
SHOWN_CHARACTERS = 100
TAKES_ROWS = re.compile(r"\b(?:delete|truncate)\b", re.IGNORECASE)
UPDATES = re.compile(r"(?<!\bon )(?<!\bfor )\bupdate\b", re.IGNORECASE)
MAY_TAKE_ROWS = re.compile(rf"\b(?:delete|truncate|drop)\b|{UPDATES.pattern}", re.IGNORECASE)
CASCADE = re.compile(r"\bcascade\b", re.IGNORECASE)
# Statements about what holds no rows of its own; a body that is only written down runs nothing.
HOLDS_NO_ROWS = re.compile(
    r"\s*(?:create(?:\s+or\s+replace)?|alter|drop)\s+(?:function|procedure|trigger|(?:materialized\s+)?view|index|"
    r"sequence|policy|rule)\b(?![^;]*\bcascade\b)[^;]*(?:\$.*\$[^;]*)?;?\s*$",
    re.IGNORECASE | re.DOTALL,
)
TYPE_PART = re.compile(r'"((?:[^"]|"")*)"|([^".\[\]\s]+)')
WHERE = "at most: only the rows go that its WHERE finds"
CASCADES = "rows of other tables that refer to these go as well"

Name = tuple[str | None, str]  # a schema, None where the dialect has none, and what is in it
LossKind = Literal["table", "column", "enum-value", "rows"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What goes, and with how many rows: those of a table, or those with something, or with `value`, in a column.

    `exact` False is an estimate, or an upper bound, and `problem` says why; `rows` None where there is neither.
    """

    kind: LossKind
    schema: str | None
    table: str
    column: str | None
    rows: int | None
    exact: bool
    problem: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Losses:
    """What is known to go, in the order of the plan; `undecidable` are sentences about what else may."""

    known: tuple[Loss, ...]
    undecidable: tuple[str, ...] = ()


def plan_losses(workspace: Workspace, plan: Plan, budget_ms: int = BUDGET_MS) -> Losses:
    """What a run of the plan would lose.

    Raises `MagetuiError` where the scripts cannot be asked, or the database cannot be read.
    """
    ways = recorded_steps(workspace, plan)
    operations = [operation for _, _, way in ways for operation in way.operations]
    unknown = tuple(f"{revision}: {way.undecidable}" for revision, _, way in ways if way.undecidable)
    with workspace.reading() as connection:
        found = read_losses(workspace.backend, connection, operations, budget_ms)
    return Losses(found.known, (*unknown, *found.undecidable))


def read_losses(
    backend: Backend, connection: Connection, operations: Iterable[Operation], budget_ms: int = BUDGET_MS
) -> Losses:
    """What the operations, done one after the other on this database, would lose. Raises SQLAlchemy's errors."""
    usual = None if backend.name == "sqlite" else backend.server(connection).schema
    standing = Standing(backend.name, usual, backend.table_details(connection), backend.enum_types(connection))
    for operation in operations:
        standing.apply(operation)
    stakes = standing.stakes()
    counted = _counted(backend, connection, stakes, budget_ms)
    return Losses(tuple(stake.loss(counted[stake]) for stake in stakes), tuple(standing.undecidable))


@dataclass(frozen=True, slots=True)
class Stake:
    """Something of the live database that goes, and is to be counted."""

    kind: LossKind
    table: Table
    wanted: Wanted = field(default_factory=Wanted)
    at_most: str | None = None  # why fewer, or more, rows may go than are there

    def loss(self, counted: Counted) -> Loss:
        return Loss(
            kind=self.kind,
            schema=self.table.schema,
            table=self.table.name,
            column=self.wanted.column,
            rows=counted.rows,
            exact=counted.exact and self.at_most is None,
            problem="; ".join(said for said in (self.at_most, counted.problem) if said) or None,
            value=self.wanted.value,
        )


def _counted(
    backend: Backend, connection: Connection, stakes: Sequence[Stake], budget_ms: int
) -> Mapping[Stake, Counted]:
    """Each stake's rows: a table is read once for all that is wanted of it, and small ones come first."""
    deadline = monotonic() + budget_ms / 1000
    by_table: dict[Table, list[Stake]] = {}
    for stake in stakes:
        by_table.setdefault(stake.table, []).append(stake)
    counted: dict[Stake, Counted] = {}
    for table in sorted(by_table, key=lambda one: (one.bytes is None, one.bytes or 0)):
        left_ms = int((deadline - monotonic()) * 1000)
        wanted = [stake.wanted for stake in by_table[table]]
        rows = backend.count(connection, table, wanted, max(0, min(COUNT_MS, left_ms)))
        counted.update(zip(by_table[table], rows, strict=True))
    return counted


class Standing:
    """Which table, column and enum value of the live database stands behind each name, operation after operation.

    Nothing stands behind what the operations made themselves.
    """

    def __init__(
        self, dialect: str, usual: str | None, details: Sequence[TableDetail], types: Sequence[EnumType]
    ) -> None:
        self._dialect = dialect
        self._usual = usual
        self._details: dict[Name, TableDetail] = {(one.table.schema, one.table.name): one for one in details}
        self._tables: dict[Name, Name | None] = {name: name for name in self._details}
        self._columns: dict[tuple[Name, str], str | None] = {
            (name, column.name): column.name for name, detail in self._details.items() for column in detail.columns
        }
        self._types: dict[Name, tuple[str, ...]] = {(one.schema, one.name): one.values for one in types}
        self._before = dict(self._types)
        self._dropped: dict[Name, None] = {}
        self._stakes: dict[Stake, None] = {}
        self.undecidable: list[str] = []

    def stakes(self) -> tuple[Stake, ...]:
        """What goes; of a table that goes as a whole, nothing else."""
        return tuple(
            stake
            for stake in self._stakes
            if stake.kind == "table" or (stake.table.schema, stake.table.name) not in self._dropped
        )

    def apply(self, operation: Operation) -> None:  # noqa: PLR0912 - a case an operation
        match operation:
            case CreateTable():
                # Where there is one already it stays: IF NOT EXISTS leaves it, and nothing else gets past it.
                self._tables.setdefault(self._name(operation.schema, operation.table))
            case DropTable():
                live = self._tables.pop(self._name(operation.schema, operation.table), None)
                if live is not None:
                    self._dropped[live] = None
                    self._stake("table", live)
            case RenameTable():
                old = self._name(operation.schema, operation.table)
                self._tables[(old[0], operation.new_name)] = self._tables.pop(old, None)
            case AddColumn():
                live = self._live(operation.schema, operation.table)
                if live is not None:
                    self._columns.setdefault((live, operation.column.name))
            case DropColumn():
                live = self._live(operation.schema, operation.table)
                column = None if live is None else self._columns.pop((live, operation.column), None)
                if live is not None and column is not None:
                    self._stake("column", live, Wanted(column))
            case AlterColumn():
                self._altered(operation)
            case CreateType():
                self._types.setdefault(self._name(operation.schema, operation.name), operation.values)
            case DropType():
                self._types.pop(self._name(operation.schema, operation.name), None)
            case RenameType():
                old = self._name(operation.schema, operation.name)
                if old in self._types:
                    self._types[(old[0], operation.new_name)] = self._types.pop(old)
            case RenameEnumValue():
                self._undecided(f"the value {operation.value} of the type {operation.name} is renamed")
            case ExecuteSql():
                self._execute(operation.sql)

    def _altered(self, operation: AlterColumn) -> None:
        live = self._live(operation.schema, operation.table)
        if live is None:
            return
        column = self._columns.get((live, operation.column))
        if column is not None and operation.type is not None:
            self._converted(live, column, operation, operation.type)
        if operation.new_name is not None and (live, operation.column) in self._columns:
            self._columns[live, operation.new_name] = self._columns.pop((live, operation.column))

    def _converted(self, live: Name, column: str, operation: AlterColumn, new_type: str) -> None:
        """What another type makes of the values; of an enum type's, those that the new one does not have."""
        [now] = [one.type for one in self._details[live].columns if one.name == column]
        has, gets = self._before.get(self._type(now)), self._types.get(self._type(new_type))
        for value in has or () if gets is not None else ():
            if value not in (gets or ()):
                self._stake("enum-value", live, Wanted(column, value))
        using, name = operation.using, f"{live[1]}.{column}"
        if using is not None and not only_casts(using, operation.column):
            self._undecided(f"the values of {name} are replaced by {_shown(using)}")
        elif has is None and gets is None and narrows(now, new_type, self._dialect, explicit=using is not None):
            self._undecided(f"values of {name} are cut or rounded to fit into {new_type}")

    def _execute(self, sql: str) -> None:
        if HOLDS_NO_ROWS.match(sql):
            return
        for operation in operations_of(sql, self._dialect):
            unread = isinstance(operation, Unclear) and MAY_TAKE_ROWS.search(sql)
            takes_columns = isinstance(operation, DropType) and CASCADE.search(sql)
            if unread or takes_columns:
                self._unread(sql)
            self.apply(operation)
        if TAKES_ROWS.search(sql):
            for table, problem in self._emptied(sql):
                self._stake("rows", table, at_most=problem)
        if UPDATES.search(sql):
            self._overwritten(sql)

    def _overwritten(self, sql: str) -> None:
        """What UPDATE writes over, but for nulls and for columns that the plan made."""
        from sqlglot import exp

        for statement in self._parsed(sql):
            for found in statement.find_all(exp.Update) if statement is not None else ():
                live = self._live(*self._identified(found.this)) if isinstance(found.this, exp.Table) else None
                names = [name for one in found.expressions for name in self._assigned(one, found.args.get("where"))]
                lost = [one for name in names if live and (one := self._columns.get((live, name))) is not None]
                if live is not None and lost:
                    said = " and ".join(f"{live[1]}.{name}" for name in lost)
                    own = str(found.sql(dialect=parser_of(self._dialect)))
                    self._undecided(f"values of {said} are written over: {_shown(own)}")

    def _assigned(self, assignment: Any, where: Any) -> Iterator[str]:
        """The columns that one assignment of an UPDATE writes values over."""
        from sqlglot import exp

        targets = assignment.this.expressions if isinstance(assignment.this, exp.Tuple) else [assignment.this]
        conditions = list(where.this.flatten()) if where is not None and isinstance(where.this, exp.And) else []
        conditions += [where.this] if where is not None else []
        are_null = (one for one in conditions if isinstance(one, exp.Is) and not one.args.get("negate"))
        nulls = [one.this for one in are_null if isinstance(one.expression, exp.Null)]
        new = assignment.args.get("expression")
        nulls += [new.this] if isinstance(new, exp.Coalesce) else []  # it keeps what is there
        filled = {self._folded(one.this) for one in nulls if isinstance(one, exp.Column)}
        yield from (
            name for one in targets if isinstance(one, exp.Column) and (name := self._folded(one.this)) not in filled
        )

    def _parsed(self, sql: str) -> list[Any]:
        """Its statements; said to be unread where the parser cannot take it."""
        import sqlglot

        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        try:
            return list(sqlglot.parse(sql, read=parser_of(self._dialect)))
        except Exception:  # noqa: BLE001 - whatever the parser raises of odd input
            self._unread(sql)
            return []

    def _emptied(self, sql: str) -> Iterator[tuple[Name, str | None]]:
        """The live tables that DELETE or TRUNCATE takes rows of, and why it may be fewer than all, or more."""
        from sqlglot import exp

        for statement in self._parsed(sql):
            for found in statement.find_all(exp.Delete, exp.TruncateTable) if statement is not None else ():
                tables = found.expressions if isinstance(found, exp.TruncateTable) else [found.this]
                if not all(isinstance(table, exp.Table) for table in tables):
                    self._unread(sql)
                    continue
                emptied = [live for table in tables if (live := self._live(*self._identified(table))) is not None]
                if isinstance(found, exp.TruncateTable):
                    everything = str(found.args.get("option") or "").upper() == "CASCADE"
                    yield from ((live, None) for live in (self._referring(emptied) if everything else emptied))
                    continue
                for live in emptied:
                    fewer = WHERE if found.args.get("where") or found.args.get("using") else None
                    more = CASCADES if self._referring([live], "CASCADE") != [live] else None
                    yield live, "; ".join(said for said in (fewer, more) if said) or None

    def _referring(self, names: Sequence[Name], on_delete: str | None = None) -> list[Name]:
        """The tables, and those that refer to them, and so on: by any foreign key, or only by such ones."""
        found = list(names)
        for name in found:  # grows on the way
            for other, detail in self._details.items():
                refers = any(
                    (key.referred_schema or other[0], key.referred_table) == name
                    and (on_delete is None or key.on_delete == on_delete)
                    for key in detail.foreign_keys
                )
                if refers and other not in found:
                    found.append(other)
        return found

    def _identified(self, table: Any) -> tuple[str | None, str]:
        parts = [self._folded(part) for part in (table.args.get("db"), table.this) if part is not None]
        return (parts[0] if len(parts) > 1 else None), parts[-1]

    def _folded(self, identifier: Any) -> str:
        """An identifier as the catalog has it."""
        as_written = identifier.args.get("quoted") or self._dialect != "postgresql"
        return str(identifier.this) if as_written else str(identifier.this).lower()

    def _unread(self, sql: str) -> None:
        self._undecided(f"what this SQL takes away cannot be read off it: {_shown(sql)}")

    def _undecided(self, sentence: str) -> None:
        if sentence not in self.undecidable:
            self.undecidable.append(sentence)

    def _stake(self, kind: LossKind, live: Name, wanted: Wanted | None = None, at_most: str | None = None) -> None:
        self._stakes[Stake(kind, self._details[live].table, wanted or Wanted(), at_most)] = None

    def _live(self, schema: str | None, table: str) -> Name | None:
        return self._tables.get(self._name(schema, table))

    def _name(self, schema: str | None, name: str) -> Name:
        return (None if self._usual is None else schema or self._usual), name

    def _type(self, written: str) -> Name:
        parts = [quoted.replace('""', '"') or plain for quoted, plain in TYPE_PART.findall(written)]
        return self._name(parts[-2] if len(parts) > 1 else None, parts[-1] if parts else "")


def _shown(sql: str) -> str:
    said = " ".join(sql.split())
    return said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]}…"
