"""SQLAlchemy's tables, columns, constraints and indexes as plain values, spelled as a dialect's DDL spells them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql import schema as sql_schema

from magetui.model import operations as recorded
from magetui.model.schema import Column, Constraint, ForeignKey, Index
from magetui.runner.silent_connection import spelled_sql

# SQLAlchemy's types of autoincrementing keys
SERIALS = {"INTEGER": "SERIAL", "BIGINT": "BIGSERIAL", "SMALLINT": "SMALLSERIAL"}


class RecordedSchema:
    """Makes the values for one dialect."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self.refused: list[str] = []  # what SQLAlchemy says of names that it refuses

    def sql(self, clause: Any) -> str:
        return spelled_sql(clause, self._dialect)

    def is_created(self, constraint: Any, *, altering: bool = False) -> bool:
        """Return True if the constraint is in the DDL: one that comes with a type is made only where it is needed.

        Booleans and enums that the dialect does not have natively come with a check. On SQLite, Alembic leaves it out
        if it adds or alters a column (`SQLiteImpl.add_constraint`).
        """
        if constraint._create_rule is None:
            return True
        nothing: Any = None
        is_left_out = altering and self._dialect.name == "sqlite"
        return not is_left_out and bool(constraint._create_rule(self._dialect.ddl_compiler(self._dialect, nothing)))

    def named(self, name: Any) -> str | None:
        """Return the name in the database: SQLAlchemy shortens a name that a convention has made too long."""
        if not isinstance(name, str):
            return None
        try:
            preparer = self._dialect.identifier_preparer
            return str(preparer.truncate_and_render_constraint_name(name, _alembic_quote=False))
        except sa.exc.IdentifierError as error:  # an explicit name that is too long
            self.refused.append(str(error).partition("\n")[0])
            return str(name)

    def column(self, column: sa.Column[Any]) -> Column:
        kind = self.type(column.type)
        increments = column.table is not None and column is column.table._autoincrement_column
        if self._dialect.name == "postgresql" and increments and not (column.server_default or column.identity):
            kind = SERIALS.get(kind, kind)
        return Column(column.name, kind, bool(column.nullable), self.default(column))

    def type(self, kind: Any) -> str:
        return str(sa.types.to_instance(kind).compile(dialect=self._dialect))

    def default(self, column: sa.Column[Any]) -> str | None:
        """Return the default of a column, or the expression that generates its value."""
        if column.identity is not None:
            return f"generated {'always' if column.identity.always else 'by default'} as identity"
        if column.computed is not None:
            stored = "virtual" if column.computed.persisted is False else "stored"
            return f"generated always as ({self.sql(column.computed.sqltext)}) {stored}"
        nothing: Any = None  # this compiler is used for one column only, and compiles no statement
        compiler: Any = self._dialect.ddl_compiler(self._dialect, nothing)
        text = compiler.get_column_default_string(column)
        return None if text is None else str(text)

    def index(self, index: sa.Index) -> Index:
        names = tuple(
            expression.name if isinstance(expression, sa.Column) else self.sql(expression)
            for expression in index.expressions
        )
        return Index(self.named(index.name) or "None", names, unique=bool(index.unique))

    def index_made(self, index: sa.Index, *, if_not_exists: bool = False) -> recorded.CreateIndex:
        """Return the index with its options of this dialect."""
        table: Any = index.table
        given = index.dialect_options[self._dialect.name].items()
        # A condition is an expression, which is neither true nor false.
        options = {name: value for name, value in given if isinstance(value, ClauseElement) or value}
        concurrently, where = bool(options.pop("concurrently", False)), options.pop("where", None)
        return recorded.CreateIndex(
            table.name,
            table.schema,
            self.index(index),
            concurrently,
            if_not_exists,
            None if where is None else where if isinstance(where, str) else self.sql(where),
            plain=not options or options == {"using": "btree"},
        )

    def foreign_key(self, key: sa.ForeignKeyConstraint) -> ForeignKey:
        referred = [element._get_colspec() for element in key.elements]
        table, _, _ = referred[0].rpartition(".")
        schema, _, name = table.rpartition(".")
        return ForeignKey(
            self.named(key.name),
            tuple(key.column_keys),
            schema or None,
            name,
            tuple(spec.rpartition(".")[2] for spec in referred),
            None if key.ondelete is None else key.ondelete.upper(),
        )

    def other_constraint(self, constraint: sa.UniqueConstraint | sa.CheckConstraint) -> Constraint:
        name = self.named(constraint.name)
        if isinstance(constraint, sa.CheckConstraint):
            return Constraint(name, "check", self.sql(constraint.sqltext))
        columns = tuple(column.name for column in constraint.columns)
        return Constraint(name, "unique", f"UNIQUE ({', '.join(columns)})", columns)

    def constraint(self, constraint: sql_schema.Constraint) -> list[recorded.Operation]:
        table: Any = constraint.table
        where = table.name, table.schema
        name = self.named(constraint.name)
        valid = not (self._dialect.name == "postgresql" and constraint.dialect_kwargs.get("postgresql_not_valid"))
        if isinstance(constraint, sa.ForeignKeyConstraint):
            key = self.foreign_key(constraint)
            return [recorded.AddConstraint(*where, "foreign", name, foreign_key=key, valid=valid)]
        if isinstance(constraint, sa.CheckConstraint):
            sql = self.sql(constraint.sqltext)
            return [recorded.AddConstraint(*where, "check", name, definition=sql, valid=valid)]
        kind: Any = "primary" if isinstance(constraint, sa.PrimaryKeyConstraint) else "unique"
        if not isinstance(constraint, (sa.PrimaryKeyConstraint, sa.UniqueConstraint)):
            return [recorded.Other(type(constraint).__name__)]
        return [recorded.AddConstraint(*where, kind, name, tuple(column.name for column in constraint.columns))]
