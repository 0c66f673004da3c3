"""A script's own SQL as the operations it amounts to, as far as its text tells.

Most of it changes rows, which a schema does not show; most of the rest is one of Alembic's operations in other words.
What is neither is `Unclear`: it may have done anything to the tables that it names, or to all where it names none.
Of what makes or alters one table in a way that is not read here, it is known which table, and that it is there then.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from magetui.backends.base import Column, Constraint, ForeignKey, Index
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
ANY_NAME = rf"{NAME}(?:\s*\.\s*{NAME})?"
TEXT = r"'((?:[^']|'')*)'"
# What changes rows, settings, rights or comments and leaves the schema alone.
NOT_OF_THE_SCHEMA = re.compile(
    r"(?:update|insert|delete|merge|truncate|copy|select|values|set|reset|show|comment|grant|revoke|analyze|vacuum"
    r"|reindex|refresh|cluster|lock|notify|begin|commit|savepoint|release|pragma|explain)\b",
    re.IGNORECASE,
)
ADD_VALUE = re.compile(
    rf"alter\s+type\s+{QUALIFIED}\s+add\s+value\s+(?P<unless>if\s+not\s+exists\s+)?{TEXT}(?:\s+(?:before|after)\s+{TEXT})?",
    re.IGNORECASE,
)
RENAME_VALUE = re.compile(rf"alter\s+type\s+{QUALIFIED}\s+rename\s+value\s+{TEXT}\s+to\s+{TEXT}", re.IGNORECASE)
RENAME_INDEX = re.compile(
    rf"alter\s+index\s+(?:if\s+exists\s+)?{QUALIFIED}\s+rename\s+to\s+(?P<new>{NAME})", re.IGNORECASE
)
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
# The same of schemas, domains and composite types, and what else alters an index or a database; but a schema that is
# renamed takes its tables along, and a domain its columns' types.
BESIDE_TABLES_TOO = re.compile(
    rf"(?:(?:create|drop)\s+(?:schema|domain|database)|alter\s+(?:schema|domain|database|index))\b"
    r"(?!.*\b(?:cascade|rename|create)\b)"
    rf"|create\s+type\s+{ANY_NAME}\s*(?:\Z|as\s*(?:\(|range\b))"
    rf"|alter\s+type\s+{ANY_NAME}\s+(?:owner\b|(?:add|drop|alter|rename)\s+attribute\b(?!.*\bcascade\b))",
    re.IGNORECASE | re.DOTALL,
)
ONE_TABLE = re.compile(
    r"(?P<verb>create|alter)\s+(?:(?:unlogged|foreign|virtual|global)\s+)?table\s+(?:if\s+(?:not\s+)?exists\s+)?"
    rf"(?:only\s+)?{QUALIFIED}|create\s+(?:unique\s+)?index\b[^()]*?\bon\s+(?:only\s+)?"
    rf"(?:(?P<its_schema>{NAME})\s*\.\s*)?(?P<its_name>{NAME})",
    re.IGNORECASE,
)
TEMPORARY = re.compile(r"(?:create|drop)\s+(?:(?:global|local)\s+)?temp(?:orary)?\s+table\b", re.IGNORECASE)
# After these words a table may be gone, or have another name.
TAKES_TABLES = re.compile(r"\bdrop\s+(?:foreign\s+|virtual\s+)?table\b|\brename\b|\bset\s+schema\b", re.IGNORECASE)
SERIAL = re.compile(r"(?:big|small)?serial[248]?", re.IGNORECASE)
# A type as SQLite keeps it, word for word: what the parser makes of it has other names.
WRITTEN_TYPE = re.compile(
    r"\s*((?:(?!(?:constraint|primary|not|null|unique|check|default|collate|references|generated|as|autoincrement)\b)"
    r"\w+\s*)+(?:\([^)]*\))?)",
    re.IGNORECASE,
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
class RenameIndex(Operation):
    kind: ClassVar[str] = "rename-index"
    name: str
    schema: str | None
    new_name: str


@dataclass(frozen=True, slots=True)
class Unclear(Operation):
    """It may have done anything to what `words`, the names in its text, name: with `takes_tables`, dropped it too."""

    kind: ClassVar[str] = "unclear"
    words: frozenset[str]
    takes_tables: bool = False


@dataclass(frozen=True, slots=True)
class UnclearTable(Unclear):
    """What it does to one table is not read here; `makes`: it makes it."""

    kind: ClassVar[str] = "unclear-table"
    table: str = ""
    schema: str | None = None
    makes: bool = False


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
    if match := BESIDE_TABLES.match(text) or BESIDE_TABLES_TOO.match(text):
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
    if match := RENAME_INDEX.fullmatch(text):
        return RenameIndex(*_named(match), _name(match["new"]))
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
        elif not any(beside.match(own) for beside in (NOT_OF_THE_SCHEMA, BESIDE_TABLES, BESIDE_TABLES_TOO, TEMPORARY)):
            yield from Statement(statement, dialect, text).operations() or [_unclear(own)]


def _unclear(text: str) -> Unclear:
    words = frozenset(re.findall(r"[^\W\d]\w*", text.lower()))
    takes_tables = bool(TAKES_TABLES.search(text))
    match = ONE_TABLE.match(text)
    if match is None or takes_tables or ";" in text:
        return Unclear(words, takes_tables)
    name, schema = match["name"] or match["its_name"], match["schema"] or match["its_schema"]
    makes = (match["verb"] or "").lower() == "create"
    return UnclearTable(words, False, _name(name), _name(schema) if schema else None, makes)


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
