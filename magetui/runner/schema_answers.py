"""The answers to a script that inspects the schema while it is recorded: they come from a sketch, not from a database.

SQLAlchemy's inspector asks its dialect, so the dialect gets these methods. A sketch holds for one moment of the script.
If the script asks after an operation that may have changed the answer, the recording ends there, and the program makes
a sketch for that moment (`engine.evidence.inspection`). What a sketch does not say is never invented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import sqlalchemy as sa

from magetui.model import operations as ops
from magetui.model.schema import SchemaSketch, TableDetail
from magetui.runner.silent_connection import LiveDataRead, SchemaNeeded

Path = tuple[str | None, str]
Sketches = Sequence[tuple[int, SchemaSketch]]

ANSWERED = (
    "has_table",
    "has_index",
    "get_table_names",
    "get_columns",
    "get_pk_constraint",
    "get_foreign_keys",
    "get_indexes",
    "get_unique_constraints",
    "get_check_constraints",
    "_load_enums",  # of SQLAlchemy's inspector for PostgreSQL
)
# Operations that change no table but their own, and operations that change none.
OF_ONE_TABLE = (
    ops.AddColumn,
    ops.AddConstraint,
    ops.CreateIndex,
    ops.CreateTable,
    ops.DropColumn,
    ops.DropConstraint,
    ops.RebuildTable,
)
OF_NO_TABLE = (ops.Autocommit, ops.InsertRows, ops.TruncateTable, ops.ValidateConstraint)
TYPE = re.compile(r"([^(\[]+)(?:\(([\d, ]*)\))?([^(\[]*)(\[\])?")
OWN_INDEX = "sqlite_autoindex_"  # of a constraint of SQLite: SQLAlchemy leaves it out
# Spellings that SQLAlchemy's table of reflected types does not have.
OTHER_SPELLINGS = {
    "bigserial": "bigint",
    "char": "character",
    "decimal": "numeric",
    "serial": "integer",
    "smallserial": "smallint",
    "varchar": "character varying",
}


class _Partly(dict[str, Any]):
    """Facts of which some are not known. A script that looks at an unknown fact cannot be followed."""

    def __missing__(self, key: str) -> Any:
        raise LiveDataRead(f"it inspects the live schema: {key}")

    def get(self, key: str, _default: Any = None) -> Any:
        return self[key]


def _cached(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Keep answers in the inspector's cache, as SQLAlchemy's decorator does, which fails on annotations in 1.4."""

    @wraps(answer)
    def cached(
        self: Any, connection: Any, *names: Any, info_cache: dict[Any, Any] | None = None, **options: Any
    ) -> Any:
        if info_cache is None:
            return answer(self, connection, *names, **options)
        key = answer.__name__, names, tuple(options.items())
        if key not in info_cache:
            info_cache[key] = answer(self, connection, *names, **options)
        return info_cache[key]

    return cached


class SchemaAnswers:
    """Answers from the sketches, each of which holds after that many operations of `made`, the recorder's list."""

    def __init__(self, dialect: Any, sketches: Sketches, made: Sequence[ops.Operation]) -> None:
        self._dialect, self._sketches, self._made = dialect, sketches, made

    def install(self) -> None:
        """Let the dialect give these answers."""
        for name in ANSWERED:
            setattr(self._dialect, name, getattr(self, name))
        if self._sketches:
            self._dialect.default_schema_name = self._sketches[0][1].default_schema

    # -- what SQLAlchemy asks a dialect; its cache is the inspector's

    @_cached
    def has_table(self, _connection: Any, table_name: str, schema: str | None = None, **_: Any) -> bool:
        sketch = self._sketch(table_name)
        path = _path(sketch, schema, table_name)
        if path in sketch.unclear:
            raise LiveDataRead(f"it inspects the live schema: whether there is a table {table_name}")
        exists = path in sketch.names or any((t.table.schema, t.table.name) == path for t in sketch.tables)
        if not exists and not sketch.complete:
            raise LiveDataRead(f"it inspects the live schema: whether there is a table {table_name}")
        return exists

    def has_index(self, connection: Any, table_name: str, index_name: str, schema: str | None = None, **_: Any) -> bool:
        return any(index["name"] == index_name for index in self.get_indexes(connection, table_name, schema))

    @_cached
    def get_table_names(self, _connection: Any, schema: str | None = None, **_: Any) -> list[str]:
        sketch = self._sketch(None)
        if sketch.unclear or not sketch.complete:
            raise LiveDataRead("it inspects the live schema: the names of its tables")
        paths = [*((t.table.schema, t.table.name) for t in sketch.tables), *sketch.names]
        return sorted(name for owner, name in paths if owner == _path(sketch, schema, name)[0])

    @_cached
    def get_columns(self, _connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        sketch, table = self._table(table_name, schema)
        return [
            _Partly(
                name=column.name,
                type=self._type(sketch, column.type),
                nullable=column.nullable,
                default=column.default,
            )
            for column in table.columns
        ]

    @_cached
    def get_pk_constraint(self, _connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        table = self._table(table_name, schema)[1]
        return _Partly(constrained_columns=list(table.primary_key))

    @_cached
    def get_foreign_keys(self, _connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        table = self._table(table_name, schema)[1]
        return [
            _named(
                key.name,
                constrained_columns=list(key.columns),
                referred_schema=key.referred_schema,
                referred_table=key.referred_table,
                referred_columns=list(key.referred_columns),
                options={"ondelete": key.on_delete} if key.on_delete else {},
            )
            for key in table.foreign_keys
        ]

    @_cached
    def get_indexes(self, _connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        table = self._table(table_name, schema)[1]
        found = [
            _Partly(name=index.name, unique=index.unique, column_names=list(index.columns))
            for index in table.indexes
            if not index.name.startswith(OWN_INDEX)
        ]
        if self._dialect.name == "postgresql":  # it reports the indexes of constraints too
            found += [
                _named(c.name, unique=True, column_names=list(c.columns), duplicates_constraint=c.name)
                for c in table.constraints
                if c.kind == "unique"
            ]
        return found

    @_cached
    def get_unique_constraints(
        self, _connection: Any, table_name: str, schema: str | None = None, **_: Any
    ) -> list[Any]:
        table = self._table(table_name, schema)[1]
        return [_named(c.name, column_names=list(c.columns)) for c in table.constraints if c.kind == "unique"]

    @_cached
    def get_check_constraints(
        self, _connection: Any, table_name: str, schema: str | None = None, **_: Any
    ) -> list[Any]:
        table = self._table(table_name, schema)[1]
        return [_named(c.name, sqltext=c.definition) for c in table.constraints if c.kind == "check"]

    def _load_enums(self, _connection: Any, schema: str | None = None, **_: Any) -> list[Any]:
        sketch = self._sketch(None)
        if not sketch.complete:
            raise LiveDataRead("it inspects the live schema: its enum types")
        return [
            _Partly(name=enum.name, schema=enum.schema or sketch.default_schema, visible=True, labels=list(enum.values))
            for enum in sketch.enums
            if schema in (None, "*", enum.schema)
        ]

    # -- the sketch of this moment

    def _sketch(self, table: str | None) -> SchemaSketch:
        """Return the sketch that holds for a table, or for all of them. Raises `SchemaNeeded` if there is none."""
        for after, sketch in reversed(self._sketches):
            is_past = after <= len(self._made)
            if is_past and not any(_changes(operation, table) for operation in self._made[after:]):
                return sketch
        raise SchemaNeeded

    def _table(self, name: str, schema: str | None) -> tuple[SchemaSketch, TableDetail]:
        sketch = self._sketch(name)
        path = _path(sketch, schema, name)
        found = next((table for table in sketch.tables if (table.table.schema, table.table.name) == path), None)
        if found is None and path not in sketch.unclear and path not in sketch.names and sketch.complete:
            raise sa.exc.NoSuchTableError(name)
        if found is None:
            raise LiveDataRead(f"it inspects the live schema: the table {name}")
        return sketch, found

    def _type(self, sketch: SchemaSketch, written: str) -> Any:
        """Return the type as SQLAlchemy reflects it."""
        enum = next((e for e in sketch.enums if written in (e.name, f'"{e.name}"', f"{e.schema}.{e.name}")), None)
        if enum is not None:
            return sa.Enum(*enum.values, name=enum.name)
        parts = TYPE.fullmatch(written)
        if parts is not None:
            base, arguments, rest, array = parts.groups()
            words = " ".join(f"{base} {rest}".lower().split())
            known = self._dialect.ischema_names
            kind = known.get(OTHER_SPELLINGS.get(words, words)) or known.get(words.upper())
            if kind is not None:
                lengths = [int(length) for length in (arguments or "").split(",") if length.strip()]
                try:
                    made = kind(timezone="with time zone" in words) if "time zone" in words else kind(*lengths)
                except TypeError:
                    made = kind()
                return sa.ARRAY(made) if array else made
        raise LiveDataRead(f"it inspects the live schema: the type {written}")


def _named(name: str | None, **facts: Any) -> _Partly:
    """Return the facts of a constraint, with its name if that is known."""
    return _Partly(**facts) if name == "" else _Partly(name=name, **facts)


def _path(sketch: SchemaSketch, schema: str | None, table: str) -> Path:
    if schema == "public" and sketch.default_schema is None:  # it may be the default one, which is not known
        raise LiveDataRead("it inspects the live schema: the schema public")
    return None if schema == sketch.default_schema else schema, table


def _changes(operation: ops.Operation, table: str | None) -> bool:
    """Return whether an operation may change what is asked of a table; None: which tables there are."""
    if isinstance(operation, OF_NO_TABLE):
        return False
    if table is None:
        return not isinstance(operation, OF_ONE_TABLE) or isinstance(operation, ops.CreateTable)
    return not isinstance(operation, OF_ONE_TABLE) or operation.table == table
