"""One statement of a script's own SQL, as a parser gives it, and the operations that it amounts to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from magetui.model.operations import (
    AddColumn,
    AddConstraint,
    AlterColumn,
    CreateIndex,
    CreateTable,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropTable,
    Operation,
    RenameTable,
)
from magetui.model.schema import Column, Constraint, ForeignKey, Index

SERIAL = re.compile(r"(?:big|small)?serial[248]?", re.IGNORECASE)
# A type as SQLite keeps it, word for word: what the parser makes of it has other names.
WRITTEN_TYPE = re.compile(
    r"\s*((?:(?!(?:constraint|primary|not|null|unique|check|default|collate|references|generated|as|autoincrement)\b)"
    r"\w+\s*)+(?:\([^)]*\))?)",
    re.IGNORECASE,
)


def parser_of(dialect: str) -> str:
    """What sqlglot calls a dialect of SQLAlchemy's."""
    return {"postgresql": "postgres", "mssql": "tsql"}.get(dialect, dialect)


class Statement:
    """One parsed statement (sqlglot's). `operations` is empty where it has a part that is not known here."""

    def __init__(self, statement: Any, dialect: str, text: str) -> None:
        self._statement = statement
        self._dialect = dialect
        self._text = text

    def operations(self) -> list[Operation]:
        from sqlglot import exp

        one = self._statement
        made: list[Operation | None] = []
        if isinstance(one, exp.Create) and one.kind == "TABLE" and isinstance(one.this, exp.Schema):
            made = [self._table()] if one.args.get("properties") is None else []
        elif isinstance(one, exp.Create) and one.kind == "INDEX":
            made = [self._index()]
        elif isinstance(one, exp.Drop) and one.kind in ("TABLE", "INDEX"):
            dropped = one.args.get("tables") or [one.this]
            made = [self._dropped(table) for table in dropped]
        elif isinstance(one, exp.Alter) and one.args.get("kind") == "TABLE":
            made = [operation for action in one.args["actions"] for operation in self._actions(action)]
        known = [operation for operation in made if operation is not None]
        return known if len(known) == len(made) else []

    def _where(self, table: Any) -> tuple[str, str | None]:
        schema = table.args.get("db")
        return self._identifier(table.this), self._identifier(schema) if schema is not None else None

    def _identifier(self, one: Any) -> str:
        from sqlglot import exp

        identifier = one if isinstance(one, exp.Identifier) else one.find(exp.Identifier)
        if identifier is None:
            return str(one.name)
        name = str(identifier.this)
        return name if identifier.args.get("quoted") or self._dialect != "postgresql" else name.lower()

    def _sql(self, one: Any) -> str:
        from sqlglot import exp

        if self._dialect == "sqlite" and isinstance(one, exp.DataType):
            return str(one.sql())  # for SQLite it would be one of its five, and the table keeps what was declared
        return str(one.sql(dialect=parser_of(self._dialect)))

    def _dropped(self, table: Any) -> Operation:
        name, schema = self._where(table)
        if self._statement.kind == "TABLE":
            return DropTable(name, schema)
        return DropIndex(name, None, schema, bool(self._statement.args.get("concurrently")))

    def _index(self) -> Operation | None:
        from sqlglot import exp

        index = self._statement.this
        if not isinstance(index, exp.Index) or index.args.get("table") is None or index.this is None:
            return None
        parameters = index.args.get("params")
        ordered = (parameters.args.get("columns") if parameters is not None else None) or []
        columns = tuple(
            self._identifier(part) if isinstance(part, exp.Column) else self._sql(part)
            for part in (one.this if isinstance(one, exp.Ordered) else one for one in ordered)
        )
        made = Index(self._identifier(index.this), columns, unique=bool(self._statement.args.get("unique")))
        concurrently = bool(self._statement.args.get("concurrently"))
        return CreateIndex(*self._where(index.args["table"]), made, concurrently)

    def _actions(self, action: Any) -> Sequence[Operation | None]:
        from sqlglot import exp

        if not isinstance(action, exp.ColumnDef):
            return [self._action(action)]
        where = self._where(self._statement.this)
        parts = self._column(where, action)
        return [None] if parts is None else [AddColumn(*where, parts[0]), *parts[1]]

    def _action(self, action: Any) -> Operation | None:  # noqa: PLR0911 - a case an action
        from sqlglot import exp

        where = self._where(self._statement.this)
        match action:
            case exp.Drop() if action.kind == "COLUMN" or action.kind is None:
                return DropColumn(*where, self._identifier((action.args.get("tables") or [action.this])[0]))
            case exp.Drop() if action.kind == "CONSTRAINT":
                name = self._identifier((action.args.get("tables") or [action.this])[0])
                return DropConstraint(*where, name, None, bool(action.args.get("exists")))
            case exp.AlterRename():
                return RenameTable(*where, self._identifier(action.this.this))
            case exp.RenameColumn():
                new = self._identifier(action.args["to"])
                return AlterColumn(*where, self._identifier(action.this), new_name=new)
            case exp.AlterColumn():
                return self._altered(where, action)
            case exp.AddConstraint() if len(action.expressions) == 1:
                made = self._constraint(where, action.expressions[0])
                last = action is self._statement.args["actions"][-1]  # NOT VALID is kept with the statement
                return replace(made, valid=False) if made and last and self._statement.args.get("not_valid") else made
            case _:
                return None

    def _altered(self, where: tuple[str, str | None], action: Any) -> Operation:
        nullable = action.args.get("allow_null")
        default = action.args.get("default")
        using = action.args.get("using") or None  # False where there is none
        return AlterColumn(
            *where,
            self._identifier(action.this),
            type=self._sql(action.args["dtype"]) if action.args.get("dtype") else None,
            using=self._sql(using) if using is not None else None,
            nullable=nullable,
            default=self._sql(default) if default is not None else None,
            drops_default=bool(action.args.get("drop")) and nullable is None,
        )

    def _constraint(self, where: tuple[str, str | None], one: Any) -> AddConstraint | None:
        from sqlglot import exp

        name = None
        if isinstance(one, exp.Constraint):
            name, parts = self._identifier(one.this), one.expressions
            if len(parts) != 1:
                return None
            one = parts[0]
        match one:
            case exp.UniqueColumnConstraint() if isinstance(one.this, exp.Schema):
                columns = tuple(self._identifier(column) for column in one.this.expressions)
                return AddConstraint(*where, "unique", name, columns)
            case exp.PrimaryKey():
                return AddConstraint(*where, "primary", name, tuple(map(self._identifier, one.expressions)))
            case exp.ForeignKey() if one.args.get("reference") is not None:
                return AddConstraint(*where, "foreign", name, foreign_key=self._foreign_key(name, one))
            case exp.CheckColumnConstraint() if name is not None:
                return AddConstraint(*where, "check", name, definition=self._sql(one.this))
            case _:
                return None

    def _foreign_key(self, name: str | None, one: Any) -> ForeignKey:
        return self._referring(name, tuple(map(self._identifier, one.expressions)), one.args["reference"])

    def _referring(self, name: str | None, columns: tuple[str, ...], reference: Any) -> ForeignKey:
        from sqlglot import exp

        target = reference.this
        there = target.this if isinstance(target, exp.Schema) else target
        table, schema = self._where(there)
        options = " ".join(str(option) for option in reference.args.get("options") or []).upper()
        on_delete = re.search(r"ON DELETE (CASCADE|SET NULL|SET DEFAULT|RESTRICT|NO ACTION)", options)
        return ForeignKey(
            name,
            columns,
            schema,
            table,
            tuple(map(self._identifier, target.expressions)) if isinstance(target, exp.Schema) else (),
            on_delete[1] if on_delete else None,
        )

    def _column(self, where: tuple[str, str | None], one: Any) -> tuple[Column, tuple[AddConstraint, ...]] | None:
        """A column and the constraints that are written behind it; None where one is not known here."""
        from sqlglot import exp

        name, kind = self._identifier(one.this), self._type(one)
        if kind is None:
            return None
        nullable, default = not SERIAL.fullmatch(kind), None
        made: list[AddConstraint] = []
        for constraint in one.args.get("constraints") or []:
            called = self._identifier(constraint.this) if constraint.args.get("this") is not None else None
            match constraint.kind:
                case exp.NotNullColumnConstraint():
                    nullable = bool(constraint.kind.args.get("allow_null"))
                case exp.DefaultColumnConstraint():
                    default = self._sql(constraint.kind.this)
                case exp.PrimaryKeyColumnConstraint():
                    made.append(AddConstraint(*where, "primary", called, (name,)))
                case exp.UniqueColumnConstraint():
                    made.append(AddConstraint(*where, "unique", called, (name,)))
                case exp.Reference():
                    key = self._referring(called, (name,), constraint.kind)
                    made.append(AddConstraint(*where, "foreign", called, foreign_key=key))
                case exp.CheckColumnConstraint():
                    called = called or self._named_by_the_server(where[0], name)
                    definition = self._sql(constraint.kind.this)
                    made.append(AddConstraint(*where, "check", called, definition=definition))
                case exp.GeneratedAsIdentityColumnConstraint():
                    nullable = False
                case exp.AutoIncrementColumnConstraint() | exp.CollateColumnConstraint():
                    pass
                case _:
                    return None
        return Column(name, kind, nullable, default), tuple(made)

    def _named_by_the_server(self, table: str, column: str) -> str | None:
        """What PostgreSQL calls a column's check that nobody has named; SQLite leaves it without a name."""
        return f"{table}_{column}_check" if self._dialect == "postgresql" else None

    def _type(self, one: Any) -> str | None:
        """A column's type, as SQLite's is written; None where it has none."""
        if one.args.get("kind") is None:
            return None
        end = one.this.meta.get("end")
        if self._dialect == "sqlite" and end is not None:
            written = WRITTEN_TYPE.match(self._text, end + 1)
            return " ".join(written[1].split()) if written is not None else None
        return self._sql(one.args["kind"])

    def _table(self) -> Operation | None:
        """A table; None where a column or a constraint of it is more than is read here."""
        from sqlglot import exp

        where = self._where(self._statement.this.this)
        columns: list[Column] = []
        made: list[AddConstraint] = []
        for part in self._statement.this.expressions:
            if isinstance(part, exp.ColumnDef):
                parts = self._column(where, part)
                if parts is None:
                    return None
                columns.append(parts[0])
                made += parts[1]
                continue
            if isinstance(part, exp.CheckColumnConstraint) and self._dialect == "sqlite":
                continue  # without a name it is not looked at
            constraint = self._constraint(where, part)
            if not isinstance(constraint, AddConstraint):
                return None
            made.append(constraint)
        return CreateTable(
            *where,
            tuple(columns),
            next((one.columns for one in made if one.constraint == "primary"), ()),
            (),
            tuple(one.foreign_key for one in made if one.foreign_key is not None),
            tuple(
                Constraint(one.name, one.constraint, one.definition or "", one.columns)
                for one in made
                if one.constraint in ("unique", "check")
            ),
        )
