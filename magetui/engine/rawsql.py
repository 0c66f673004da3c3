"""A script's own SQL as the operations it amounts to, as far as its text tells.

Most of it changes rows, which a schema does not show; most of the rest is one of Alembic's operations in other words.
What is neither is `Unclear`: it may have done anything to the tables that it names, or to all where it names none.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from magetui.backends.base import Column, ForeignKey, Index
from magetui.runner.operations import (
    AddColumn,
    AddConstraint,
    AlterColumn,
    CreateIndex,
    CreateTable,
    CreateType,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropTable,
    DropType,
    Operation,
    RenameTable,
)

NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
QUALIFIED = rf"(?:(?P<schema>{NAME})\s*\.\s*)?(?P<name>{NAME})"
TEXT = r"'((?:[^']|'')*)'"
# What changes rows, settings, rights or comments and leaves the schema alone.
NOT_OF_THE_SCHEMA = re.compile(
    r"(?:update|insert|delete|merge|truncate|copy|select|values|set|reset|show|comment|grant|revoke|analyze|vacuum"
    r"|reindex|cluster|lock|notify|begin|commit|savepoint|release|pragma|explain)\b",
    re.IGNORECASE,
)
ADD_VALUE = re.compile(
    rf"alter\s+type\s+{QUALIFIED}\s+add\s+value\s+(?P<unless>if\s+not\s+exists\s+)?{TEXT}(?:\s+(?:before|after)\s+{TEXT})?",
    re.IGNORECASE,
)
RENAME_VALUE = re.compile(rf"alter\s+type\s+{QUALIFIED}\s+rename\s+value\s+{TEXT}\s+to\s+{TEXT}", re.IGNORECASE)
RENAME_TYPE = re.compile(rf"alter\s+type\s+{QUALIFIED}\s+rename\s+to\s+(?P<new>{NAME})", re.IGNORECASE)
CREATE_ENUM = re.compile(rf"create\s+type\s+{QUALIFIED}\s+as\s+enum\s*\((?P<values>.*)\)", re.IGNORECASE | re.DOTALL)
DROP_TYPE = re.compile(rf"drop\s+type\s+(?:if\s+exists\s+)?{QUALIFIED}(?:\s+(?:cascade|restrict))?", re.IGNORECASE)
# What makes or drops other things than tables and types, by itself; with CASCADE it may take a table's parts along.
BESIDE_TABLES = re.compile(
    r"(?:create(?:\s+or\s+replace)?|drop|alter)(?:\s+(?:constraint|event|temp|temporary|recursive|materialized))*"
    r"\s+(?P<what>trigger|function|procedure|routine|aggregate|view|rule|policy|sequence|publication|subscription"
    r"|extension|statistics|operator|cast|collation|role|user|default\s+privileges)\b(?!.*\bcascade\b)",
    re.IGNORECASE | re.DOTALL,
)
BODY = re.compile(r"(\$\w*\$).*?\1|\bbegin\b.*\bend\b", re.IGNORECASE | re.DOTALL)
# How scripts give a column a new enum type; so common that it is not worth loading a parser for.
RETYPE = re.compile(
    rf"alter\s+table\s+{QUALIFIED}\s+alter\s+(?:column\s+)?(?P<column>{NAME})\s+(?:set\s+data\s+)?type\s+(?P<type>\w+)"
    rf"\s+using\s+(?P<using>{NAME}::text::\w+)",
    re.IGNORECASE,
)
LEADING_COMMENT = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AddEnumValue(Operation):
    kind: ClassVar[str] = "add-enum-value"
    name: str
    schema: str | None
    value: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameEnumValue(Operation):
    kind: ClassVar[str] = "rename-enum-value"
    name: str
    schema: str | None
    value: str
    new_value: str


@dataclass(frozen=True, slots=True)
class RenameType(Operation):
    kind: ClassVar[str] = "rename-type"
    name: str
    schema: str | None
    new_name: str


@dataclass(frozen=True, slots=True)
class Unclear(Operation):
    """It may have done anything to what `words`, the names in its text, name."""

    kind: ClassVar[str] = "unclear"
    words: frozenset[str]


@lru_cache(maxsize=4_096)
def operations_of(sql: str, dialect: str) -> tuple[Operation, ...]:
    """What the statements in `sql` do to the schema; empty where they leave it alone."""
    text = _bare(sql)
    if not text or _leaves_tables_alone(text):
        return ()
    made = _of_a_type(text)
    if made is not None:
        return (made,)
    try:
        return tuple(_parsed(text, dialect))
    except Exception:  # noqa: BLE001 - whatever the parser raises, or makes of what nobody has seen it make yet
        return (_unclear(text),)


def _leaves_tables_alone(text: str) -> bool:
    """Whether it is one statement that changes nothing of a table or a type."""
    if match := BESIDE_TABLES.match(text):
        return ";" not in BODY.sub("", text[match.end() :])
    return bool(NOT_OF_THE_SCHEMA.match(text)) and ";" not in text


def _bare(sql: str) -> str:
    """Without comments before it, and without the semicolon behind it."""
    text = sql.strip()
    if comment := LEADING_COMMENT.match(text):
        text = text[comment.end() :]
    return text.rstrip("; \n\t")


def _of_a_type(text: str) -> Operation | None:  # noqa: PLR0911 - a case each
    if match := ADD_VALUE.fullmatch(text):
        return AddEnumValue(*_named(match), _text(match[4]), match["unless"] is not None)
    if match := RENAME_VALUE.fullmatch(text):
        return RenameEnumValue(*_named(match), _text(match[3]), _text(match[4]))
    if match := RENAME_TYPE.fullmatch(text):
        return RenameType(*_named(match), _name(match["new"]))
    if match := CREATE_ENUM.fullmatch(text):
        return CreateType(*_named(match), tuple(_text(value) for value in re.findall(TEXT, match["values"])))
    if match := DROP_TYPE.fullmatch(text):
        return DropType(*_named(match))
    if match := RETYPE.fullmatch(text):
        name, schema = _named(match)
        return AlterColumn(name, schema, _name(match["column"]), type=match["type"], using=match["using"])
    return None


def _named(match: re.Match[str]) -> tuple[str, str | None]:
    return _name(match["name"]), _name(match["schema"]) if match["schema"] else None


def _name(written: str) -> str:
    """An identifier as the catalog has it (manual, 4.1.1: unquoted ones are folded to lower case)."""
    return written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()


def _text(written: str) -> str:
    return written.replace("''", "'")


# -- everything else, through a parser


def parser_of(dialect: str) -> str:
    """What sqlglot calls a dialect of SQLAlchemy's."""
    return {"postgresql": "postgres", "mssql": "tsql"}.get(dialect, dialect)


def _parsed(text: str, dialect: str) -> Iterator[Operation]:
    import sqlglot

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it does not know; so do we, as Unclear
    folds = dialect == "postgresql"
    for statement in sqlglot.parse(text, read=parser_of(dialect)):
        if statement is None:
            continue
        own = statement.sql(dialect=parser_of(dialect))
        made = _of_a_type(own) if folds else None
        if made is not None:
            yield made
        elif not NOT_OF_THE_SCHEMA.match(own) and not BESIDE_TABLES.match(own):
            yield from Statement(statement, dialect).operations() or [_unclear(own)]


def _unclear(text: str) -> Unclear:
    return Unclear(frozenset(re.findall(r"[^\W\d]\w*", text.lower())))


class Statement:
    """One parsed statement (sqlglot's). `operations` is empty where it has a part that is not known here."""

    def __init__(self, statement: Any, dialect: str) -> None:
        self._statement = statement
        self._dialect = dialect

    def operations(self) -> list[Operation]:
        from sqlglot import exp

        one = self._statement
        made: list[Operation | None] = []
        if isinstance(one, exp.Create) and one.kind == "TABLE" and isinstance(one.this, exp.Schema):
            made = [self._table()]
        elif isinstance(one, exp.Create) and one.kind == "INDEX":
            made = [self._index()]
        elif isinstance(one, exp.Drop) and one.kind in ("TABLE", "INDEX"):
            dropped = one.args.get("tables") or [one.this]
            made = [self._dropped(table) for table in dropped]
        elif isinstance(one, exp.Alter) and one.args.get("kind") == "TABLE":
            made = [self._action(action) for action in one.args["actions"]]
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

    def _action(self, action: Any) -> Operation | None:  # noqa: PLR0911 - a case an action
        from sqlglot import exp

        where = self._where(self._statement.this)
        match action:
            case exp.ColumnDef():
                parts = self._column(action)
                return AddColumn(*where, parts) if parts is not None else None
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
        from sqlglot import exp

        reference = one.args["reference"]
        target = reference.this
        there = target.this if isinstance(target, exp.Schema) else target
        table, schema = self._where(there)
        options = " ".join(str(option) for option in reference.args.get("options") or []).upper()
        on_delete = re.search(r"ON DELETE (CASCADE|SET NULL|SET DEFAULT|RESTRICT|NO ACTION)", options)
        return ForeignKey(
            name,
            tuple(map(self._identifier, one.expressions)),
            schema,
            table,
            tuple(map(self._identifier, target.expressions)),
            on_delete[1] if on_delete else None,
        )

    def _column(self, one: Any) -> Column | None:
        """A column without keys of its own: with one it is more than a column."""
        from sqlglot import exp

        nullable, default = True, None
        for constraint in one.args.get("constraints") or []:
            match constraint.kind:
                case exp.NotNullColumnConstraint():
                    nullable = bool(constraint.kind.args.get("allow_null"))
                case exp.DefaultColumnConstraint():
                    default = self._sql(constraint.kind.this)
                case _:
                    return None
        if one.args.get("kind") is None:
            return None
        return Column(self._identifier(one.this), self._sql(one.args["kind"]), nullable, default)

    def _table(self) -> Operation | None:
        """A table; None where a column or a constraint of it is more than is read here."""
        from sqlglot import exp

        name, schema = self._where(self._statement.this.this)
        columns: list[Column] = []
        key: tuple[str, ...] = ()
        foreign: list[ForeignKey] = []
        for part in self._statement.this.expressions:
            if isinstance(part, exp.ColumnDef):
                constraints = part.args.get("constraints") or []
                keys = [one for one in constraints if isinstance(one.kind, exp.PrimaryKeyColumnConstraint)]
                if keys:
                    key = (self._identifier(part.this),)
                    part.set("constraints", [one for one in constraints if one not in keys])
                column = self._column(part)
                if column is None:
                    return None
                columns.append(column)
                continue
            made = self._constraint((name, schema), part)
            if isinstance(made, AddConstraint) and made.constraint == "primary":
                key = made.columns
            elif isinstance(made, AddConstraint) and made.foreign_key is not None:
                foreign.append(made.foreign_key)
            else:
                return None
        return CreateTable(name, schema, tuple(columns), key, (), tuple(foreign))
