"""What PostgreSQL adds for types and expressions: casts, enum values, defaults, conditions, and what holds a type.

A constant or a condition is parsed by the server itself, on a source without rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from magetui.engine.preview.column_rules import EACH, INTEGERS, ONCE, STRING, only_casts, read_type
from magetui.engine.preview.preflight.moment import Fails, Moment, NotKnown, Parsed, Problem
from magetui.engine.preview.preflight.row_rules import TEXT_TYPES, RowRules
from magetui.engine.preview.preflight.schema_rules import SchemaRules
from magetui.engine.sql.tables import SERIAL
from magetui.model import operations as ops
from magetui.model.names import literal, quoted
from magetui.model.schema import Column, ForeignKey

if TYPE_CHECKING:
    from magetui.engine.evidence.table_state import TableState
    from magetui.model.surroundings import Castable

NAMED_AT_MOST = 3
CALL = re.compile(r"([\w$.]+)\s*\(")
GENERATED = re.compile(r"\bgenerated\b", re.IGNORECASE)
NUMBERS = (*INTEGERS, "numeric", "real", "double precision")
TEXTS = ("text", "character varying", "character")
# Names of types that are read as a clause of SQL, and that no catalog has under these names.
SPELLED = re.compile(
    r"(?:boolean|real|character|bit|time|timestamp|interval|double|national|numeric|decimal|dec)\b", re.IGNORECASE
)
BUILT_IN = "pg_catalog"


class TypeRules(SchemaRules):
    """`casts`: how the server turns one built-in type into another, None if it does not say."""

    def __init__(self, moment: Moment, casts: Mapping[tuple[str, str], Castable | None]) -> None:
        super().__init__(moment)
        self._casts = casts

    def schema(self, schema: str | None) -> Iterator[Problem]:
        path, around = schema or self.state.default_schema, self.moment.around
        if path is not None and schema is not None and path not in around.schemas and schema != BUILT_IN:
            if schema.lower() in self.moment.unread_words:
                yield NotKnown(f"whether the schema {schema} exists then")
            else:
                yield Fails(f"there is no schema {schema}", f'schema "{schema}" does not exist')
        elif path in around.closed_schemas:
            yield Fails(f"this role may create nothing in {path}", f"permission denied for schema {path}")

    def held(self, holders: Sequence[str], what: str, shown: str) -> Iterator[Problem]:
        if holders:
            needed = ", ".join(dict.fromkeys(holders))
            says = f"cannot drop {what} because other objects depend on it"
            yield Fails(f"{needed} {'needs' if len(set(holders)) == 1 else 'need'} {shown}", says)

    # -- a new type of a column

    def retype(self, table: TableState, before: Column, operation: ops.AlterColumn, new: str) -> Iterator[Problem]:
        name, old = before.name, before.type
        yield from self.type(Column(name, new, nullable=True))
        holders = [dependent.name for dependent in self.moment.dependents(table, name)]
        if holders:
            words = [f"{holder} uses {table.name}.{name}" for holder in dict.fromkeys(holders)]
            yield Fails("; ".join(words), "cannot alter type of a column used by a view or rule")
        used = [key for key in table.foreign_keys.values() if name in key.columns]
        used += [key for key, _ in self.state.referring(table.path) if name in key.referred_columns]
        same = read_type(old) == read_type(new)
        if used and not same and not {read_type(old)[0], read_type(new)[0]} <= {*INTEGERS}:
            yield NotKnown(f"whether the foreign keys of {table.name}.{name} allow the type {new}")
        if operation.using is not None and not only_casts(operation.using, name):
            yield Parsed(f"SELECT {operation.using} FROM {self._typed(table)}")
            if self.moment.has_rows(table) is not False:
                yield NotKnown(f"whether each value of {table.name}.{name} can be converted")
            return
        if same:
            return
        enum = self.state.enums.get(self.state.type_name(new))
        if enum is not None or self.state.type_name(old) in self.state.enums:
            yield from self._enum_cast(table, before, operation, new)
        else:
            yield from self._cast(table, before, operation, new)

    def _cast(self, table: TableState, before: Column, operation: ops.AlterColumn, new: str) -> Iterator[Problem]:
        name, old = before.name, before.type
        cast = self._casts.get((read_type(old)[0], read_type(new)[0]))
        if cast is None and not self._is_built_in(new):
            yield NotKnown(f"whether {old} can become {new}")
        elif cast == "never" and read_type(old)[0] in TEXTS and operation.using is not None:
            yield from RowRules(self.moment, table).parsed(name, new)
        elif cast in ("never", "explicit") and operation.using is None:
            yield Fails(
                f"{old} becomes {new} only with postgresql_using='{name}::{new.lower()}'",
                f'column "{name}" cannot be cast automatically to type {read_type(new)[0]}',
            )
        elif cast == "never" and read_type(new)[0] not in TEXTS:
            yield Fails(f"no cast leads from {old} to {new}", f"cannot cast type {old} to {new}")
        elif operation.using is not None and read_type(new)[0] in TEXTS:
            return  # an explicit cast cuts what is too long
        else:
            yield from RowRules(self.moment, table).converted(name, old, new)
        if before.default is not None and cast in ("never", "explicit"):
            says = f'default for column "{name}" cannot be cast automatically to type {read_type(new)[0]}'
            yield Fails(f"the default {before.default} does not become {new} by itself: drop it first", says)

    def _enum_cast(self, table: TableState, before: Column, operation: ops.AlterColumn, new: str) -> Iterator[Problem]:
        if read_type(new)[0] in TEXT_TYPES:
            return
        if operation.using is None:
            says = f'column "{before.name}" cannot be cast automatically to type {new}'
            yield Fails(f"{before.type} becomes {new} only with postgresql_using", says)
            return
        if self.moment.has_rows(table) is not False:
            yield NotKnown(f"whether {new} has each value of {table.name}.{before.name}")
        if before.default is not None:
            says = f'default for column "{before.name}" cannot be cast automatically to type {new}'
            yield Fails(f"the default {before.default} does not become {new} by itself: drop it first", says)

    # -- types and expressions

    def type(self, column: Column) -> Iterator[Problem]:
        kind = column.type
        if not self._is_built_in(kind) and not SERIAL.fullmatch(kind.strip()):
            name = self.state.type_name(kind.removesuffix("[]"))
            if name in self.state.open_enums:
                yield NotKnown(f"whether the type {name} exists then")
            elif name not in self.state.enums and not self._is_other_type(name):
                if not self.state.open and name.lower() not in self.moment.unread_words:
                    yield Fails(f"there is no type {kind}", f'type "{kind}" does not exist')
                else:
                    yield NotKnown(f"whether the type {kind} exists then")
        yield from self.default(column)

    def _is_other_type(self, name: str) -> bool:
        """Return whether the database has a type of that name which is no enum: a domain, one of an extension."""
        schema, _, plain = name.rpartition(".")
        schemas = {schema} if schema else {self.state.default_schema, "public", BUILT_IN}
        return any((where, plain) in self.moment.around.types for where in schemas)

    def _is_built_in(self, kind: str) -> bool:
        base = read_type(kind)[0].removesuffix("[]").strip().strip('"')
        return SPELLED.match(base) is not None or (BUILT_IN, base) in self.moment.around.types or base in NUMBERS

    def default(self, column: Column) -> Iterator[Problem]:
        default = column.default
        if default is None or GENERATED.search(default):
            return
        calls = {call.lower() for call in CALL.findall(STRING.sub("''", default))}
        if calls - ONCE - EACH or not self._is_built_in(column.type):
            enum = self.state.enums.get(self.state.type_name(column.type))
            if enum is not None and (value := re.fullmatch(r"'((?:[^']|'')*)'", default.strip())):
                if (self.state.type_name(column.type), value[1].replace("''", "'")) in self.moment.added_values:
                    says = f'unsafe use of new value "{value[1]}" of enum type {column.type}'
                    yield Fails(f"the value {value[1]} cannot be used before it is committed", says)
                elif value[1].replace("''", "'") not in enum:
                    says = f'invalid input value for enum {column.type}: "{value[1]}"'
                    yield Fails(f"the type {column.type} has no value {value[1]}", says)
                return
            yield NotKnown(f"whether the default {default} is a {column.type}")
        elif not SERIAL.fullmatch(column.type.strip()):
            # A constant in quotes takes the type of the column; anything else must have one that is assigned to it.
            is_text = re.fullmatch(r"'(?:[^']|'')*'", default.strip()) is not None
            yield Parsed(f"SELECT CAST({default} AS {column.type})" if is_text else f"SELECT {default}")

    def condition(self, table: TableState, condition: str) -> Iterator[Problem]:
        yield Parsed(f"SELECT ({condition})::boolean FROM {self._typed(table)}")

    def expressions(self, table: TableState, texts: Sequence[str], operation: ops.CreateIndex) -> Iterator[Problem]:
        if not operation.plain:
            yield NotKnown(f"the options of the index {operation.index.name} are not checked")
        listed = ", ".join(f"({text})" for text in [*texts, *([operation.condition] if operation.condition else [])])
        if listed:
            yield Parsed(f"SELECT {listed} FROM {self._typed(table)}")
        if texts:
            yield NotKnown(f"whether the expressions of the index {operation.index.name} are immutable")

    def _typed(self, table: TableState) -> str:
        """Return a source without rows that has the columns of the table."""
        columns = (f"NULL::{self._qualified(c.type)} AS {quoted(c.name)}" for c in table.columns.values())
        return f"(SELECT {', '.join(columns)}) AS {quoted(table.path[1])} WHERE false"

    def _qualified(self, kind: str) -> str:
        if SERIAL.fullmatch(kind.strip()):
            return {"bigserial": "bigint", "smallserial": "smallint"}.get(kind.strip().lower(), "integer")
        name = self.state.type_name(kind.removesuffix("[]"))
        if name in self.state.enums:
            schema, _, plain = name.rpartition(".")
            if self.moment.live_enums.get(name) != self.state.enums[name]:
                return "text"
            array = "[]" if kind.endswith("[]") else ""
            return f"{quoted(schema or self.state.default_schema or 'public')}.{quoted(plain)}{array}"
        return kind

    def no_parent(self, shown: str) -> Iterator[Problem]:
        yield Fails(f"there is no table {shown}, to which it refers", f'relation "{shown}" does not exist')

    def referable(
        self, table: TableState, key: ForeignKey, parent: TableState, referred: Sequence[str]
    ) -> Iterator[Problem]:
        if (why := self.not_unique(parent, referred)) is not None:
            says = f'there is no unique constraint matching given keys for referenced table "{parent.path[1]}"'
            yield Fails(why, says)
        if parent.live is not None and parent.live in self.moment.around.not_owned:
            yield NotKnown(f"whether this role may refer to {parent.name}")
        for ours, theirs in zip(key.columns, referred, strict=False):
            was, will = (
                self._family(found.columns[column].type) for found, column in ((table, ours), (parent, theirs))
            )
            if was != will:
                kinds = f"{table.columns[ours].type} and {parent.columns[theirs].type}"
                if {was, will} <= {"number", "text", "boolean", "uuid", "date", "json", "bytea"}:
                    says = f'foreign key constraint "{key.name}" cannot be implemented'
                    yield Fails(f"{ours} and {parent.name}.{theirs} have the types {kinds}", says)
                else:
                    yield NotKnown(f"whether {kinds} can be compared")

    def _family(self, kind: str) -> str:
        base = read_type(kind)[0]
        if SERIAL.fullmatch(kind.strip()) or base in NUMBERS:
            return "number"
        if base in TEXTS:
            return "text"
        return base

    # -- enum types

    def create_type(self, operation: ops.CreateType) -> Iterator[Problem]:
        name = self.state.type_of(operation)
        says = f'type "{operation.name}" already exists'
        if name in self.state.open_enums:
            yield NotKnown(f"whether the type {name} exists then")
        elif operation.if_not_exists and name in self.state.enums:
            return
        elif name in self.state.enums:
            yield Fails(f"the enum type {name} exists already, and {self._use(name)}", says)
        elif self._is_other_type(name):
            yield Fails(f"the type {name} exists already", says)
        elif self.state.at(self.state.path(operation.schema, operation.name)) is not None:
            yield Fails(f"there is a table {name}", says)
        yield from self.schema(operation.schema)

    def users(self, enum: str) -> list[str]:
        """Return the columns that have the enum type."""
        return [
            f"{table.name}.{column.name}"
            for table in self.state.tables.values()
            for column in table.columns.values()
            if self.state.type_name(column.type.removesuffix("[]")) == enum
        ]

    def _use(self, enum: str) -> str:
        """Return what uses the enum type: PostgreSQL drops no type that a column has."""
        users = self.users(enum)
        if not users:
            return "nothing uses it: 'magetui clean' drops it"
        more = f" and {len(users) - NAMED_AT_MOST} more" if users[NAMED_AT_MOST:] else ""
        return f"{', '.join(users[:NAMED_AT_MOST])}{more} {'has' if len(users) == 1 else 'have'} it"

    def change_type(self, operation: ops.OnType) -> Iterator[Problem]:
        name = self.state.type_of(operation)
        values = self.state.enums.get(name)
        if values is not None:
            yield from self._change_known_type(name, values, operation)
        elif not (isinstance(operation, ops.DropType) and operation.if_exists):
            is_doubtful = self.state.open or name.lower() in self.moment.unread_words
            if is_doubtful or name in self.state.open_enums or self._is_other_type(name):
                yield NotKnown(f"whether the type {name} exists then")
            else:
                yield Fails(f"there is no type {name}", f'type "{operation.name}" does not exist')

    def _change_known_type(self, name: str, values: Sequence[str], operation: ops.OnType) -> Iterator[Problem]:
        match operation:
            case ops.DropType(cascade=True):
                yield NotKnown(f"what else goes with {name}")
            case ops.DropType():
                yield from self.held(self.users(name), f"type {operation.name}", name)
            case ops.AddEnumValue(value=value) if value in values:
                if not operation.if_not_exists:
                    yield self._has_value(name, value)
            case ops.AddEnumValue():
                return
            case ops.RenameEnumValue(value=old) if old not in values:
                yield Fails(f"the type {name} has no value {old}", f'"{old}" is not an existing enum label')
            case ops.RenameEnumValue(new_value=new) if new in values:
                yield self._has_value(name, new)
            case ops.RenameType(new_name=new) if self.state.name(operation.schema, new) in self.state.enums:
                yield Fails(f"the type {new} exists already", f'type "{new}" already exists')
            case ops.RenameEnumValue() | ops.RenameType():
                return
            case _:
                yield NotKnown(f"what {named(operation)} does")

    def _has_value(self, name: str, value: str) -> Problem:
        return Fails(f"the type {name} has the value {value} already", f'enum label "{value}" already exists')


def unsafe_use(sql: str, moment: Moment) -> Iterator[Problem]:
    """A value that the open transaction has added to an enum type may not be used yet (manual, ALTER TYPE)."""
    for kind, value in moment.added_values:
        if literal(value) not in sql:
            continue
        says = f'unsafe use of new value "{value}" of enum type {kind}'
        tables = moment.state.tables.values()
        of_type = {c.name for t in tables for c in t.columns.values() if moment.state.type_name(c.type) == kind}
        compared = rf"\b({'|'.join(map(re.escape, of_type))})\s*(?:=|<>|!=)\s*{re.escape(literal(value))}"
        if of_type and re.search(compared, sql):
            yield Fails(f"the value {value} of {kind} cannot be used before it is committed", says)
        else:
            yield NotKnown(f"whether it uses the value {value} of {kind}, which is not committed yet")


def named(operation: ops.Operation) -> str:
    match operation:
        case ops.Other() | ops.UnclearCall():
            return operation.name
        case ops.ExecuteSql() | ops.Unclear():
            return "this SQL"
        case _:
            return "this operation"
