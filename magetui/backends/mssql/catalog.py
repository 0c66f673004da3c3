"""Tables and leftovers from SQL Server's catalog views, read in bulk (Transact-SQL reference, System catalog views).

The views are read with `fetch_catalog`, also while another session has an uncommitted change of the schema. The rows of
the version table are read as committed, within the lock timeout: an uncommitted revision may still be rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends import query
from magetui.backends.mssql.failures import unreadable
from magetui.backends.mssql.query import fetch, fetch_catalog, fetch_if_allowed, identifier, literal, statement
from magetui.backends.problems import no_version_column
from magetui.model import schema as model

LEFTOVERS_SQL = """
select s.name, t.name from sys.tables as t join sys.schemas as s on s.schema_id = t.schema_id
where left(t.name, {length}) = {prefix} order by s.name, t.name
"""
NOT_ALTERABLE_SQL = """
select s.name, t.name from sys.tables as t join sys.schemas as s on s.schema_id = t.schema_id
where s.name = schema_name() and t.is_ms_shipped = 0
  and has_perms_by_name(quotename(s.name) + N'.' + quotename(t.name), N'OBJECT', N'ALTER') = 0
order by t.name
"""
CHECKS_SQL = "select parent_object_id, name, definition from sys.check_constraints order by parent_object_id, name"

_Columns = Mapping[int, Mapping[int, model.Column]]  # by the table's object_id, then by column_id


def version_tables(connection: Connection, name: str, schema: str | None) -> tuple[model.VersionTable, ...]:
    """See `Catalog.version_tables`. The default schema is the login's own, or else dbo."""
    rows = fetch_catalog(connection, statement("version_tables", name=literal(name)))
    wanted = [schema] if schema is not None else [rows[0][2], "dbo"] if rows else []
    schemas = {row[0] for row in rows}
    effective = next((candidate for candidate in wanted if candidate in schemas), None)
    tables = [
        _version_table(connection, in_schema, table, has_column=bool(has_column), effective=in_schema == effective)
        for in_schema, table, _, has_column in rows
    ]
    return tuple(sorted(tables, key=lambda table: not table.effective))


def _version_table(
    connection: Connection, schema: str, table: str, *, has_column: bool, effective: bool
) -> model.VersionTable:
    name = f"{schema}.{table}"
    if not has_column:
        return model.VersionTable(schema, table, None, effective, no_version_column(name))
    try:
        rows = fetch(connection, f"select version_num from {identifier(schema)}.{identifier(table)}")
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return model.VersionTable(schema, table, None, effective, unreadable(name, error))
    return model.VersionTable(schema, table, tuple(str(version) for (version,) in rows), effective)


def leftovers(connection: Connection) -> tuple[model.Leftover, ...]:
    sql = LEFTOVERS_SQL.format(length=len(model.BATCH_PREFIX), prefix=literal(model.BATCH_PREFIX))
    return tuple(
        model.Leftover("leftover-table", schema, name, name.removeprefix(model.BATCH_PREFIX))
        for schema, name in fetch_catalog(connection, sql)
    )


def not_owned(connection: Connection) -> tuple[model.Table, ...]:
    """Return the tables of the default schema that the login may not alter, whoever owns them."""
    return tuple(model.Table(schema, name, None, None) for schema, name in fetch_catalog(connection, NOT_ALTERABLE_SQL))


def tables(connection: Connection, schema: str | None = None) -> tuple[model.Table, ...]:
    """See `Catalog.tables`. `rows` is the number in sys.partitions."""
    return tuple(table for _, table in _listed(connection, schema, None))


def table_details(
    connection: Connection, schema: str | None = None, name: str | None = None
) -> tuple[model.TableDetail, ...]:
    listed = _listed(connection, schema, name)
    all_tables = listed if schema is None and name is None else _listed(connection, None, None)
    names = {table_id: (table.schema, table.name) for table_id, table in all_tables}
    columns: dict[int, dict[int, model.Column]] = {}
    for row in fetch_catalog(connection, statement("columns")):
        columns.setdefault(row[0], {})[row[1]] = _column(row[2:])
    keys, indexes, constraints = _indexes(fetch_catalog(connection, statement("indexes")), columns)
    for table_id, constraint, definition in fetch_catalog(connection, CHECKS_SQL):
        constraints.setdefault(table_id, []).append(model.Constraint(constraint, "check", f"CHECK {definition}"))
    foreign_keys = _foreign_keys(fetch_catalog(connection, statement("foreign_keys")), columns, names)
    columns_of = {table_id: tuple(by_number.values()) for table_id, by_number in columns.items()}
    return query.table_details(listed, columns_of, keys, indexes, foreign_keys, constraints)


def _listed(connection: Connection, schema: str | None, name: str | None) -> list[tuple[int, model.Table]]:
    """Return (object_id, table) for each table, by schema and name."""
    sizes = dict(fetch_if_allowed(connection, statement("sizes")) or ())
    rows = fetch_catalog(connection, statement("tables", schema=literal(schema), name=literal(name)))
    return [
        (table_id, model.Table(in_schema, table, count, sizes.get(table_id), owner))
        for table_id, in_schema, table, owner, count in rows
    ]


def _column(row: Sequence[Any]) -> model.Column:
    name, kind, length, precision, scale, nullable, identity, default, computed, persisted = row
    if kind in ("nchar", "nvarchar") and length != -1:
        length //= 2  # max_length counts bytes (sys.columns)
    if kind in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"):
        kind = f"{kind}({'max' if length == -1 else length})"
    elif kind in ("decimal", "numeric"):
        kind = f"{kind}({precision},{scale})"
    elif kind in ("datetime2", "datetimeoffset", "time"):
        kind = f"{kind}({scale})"
    if computed is not None:
        default = f"as {computed}{' persisted' if persisted else ''}"
    return model.Column(name, kind, bool(nullable), "identity" if identity else default)


def _indexes(
    rows: Sequence[tuple[Any, ...]], columns: _Columns
) -> tuple[dict[int, tuple[str, ...]], dict[int, list[model.Index]], dict[int, list[model.Constraint]]]:
    """Return by table: the primary key's columns, the other indexes, and the unique constraints among those."""
    keys: dict[int, tuple[str, ...]] = {}
    indexes: dict[int, list[model.Index]] = {}
    constraints: dict[int, list[model.Constraint]] = {}
    for (table, name), parts_of_index in groupby(rows, key=itemgetter(0, 1)):
        parts = list(parts_of_index)
        _, _, primary, unique, constraint, disabled, condition, *_ = parts[0]
        columns_of_table = columns.get(table, {})
        named = [
            (columns_of_table[number].name if number in columns_of_table else "…", included, descending)
            for number, included, descending in (part[-3:] for part in parts)
        ]
        names = tuple(column for column, is_included, _ in named if not is_included)
        if primary:
            keys[table] = names
            continue
        if constraint:
            unique_constraint = model.Constraint(name, "unique", f"UNIQUE ({', '.join(names)})", names)
            constraints.setdefault(table, []).append(unique_constraint)
        included = [column for column, is_included, _ in named if is_included]
        definition = None
        if included or condition or any(is_descending for _, _, is_descending in named):
            ordered = [f"{column}{' DESC' if down else ''}" for column, is_included, down in named if not is_included]
            definition = f"{'UNIQUE ' if unique else ''}INDEX {name} ({', '.join(ordered)})"
            definition += f" INCLUDE ({', '.join(included)})" if included else ""
            definition += f" WHERE {condition}" if condition else ""
        indexes.setdefault(table, []).append(model.Index(name, names, bool(unique), not disabled, definition))
    return keys, indexes, constraints


def _foreign_keys(
    rows: Sequence[tuple[Any, ...]], columns: _Columns, names: Mapping[int, tuple[str | None, str]]
) -> dict[int, list[model.ForeignKey]]:
    """Return the foreign keys of each table; `names` has the schema and name of every table."""
    foreign_keys: dict[int, list[model.ForeignKey]] = {}
    for (table, name), parts_of_key in groupby(rows, key=itemgetter(0, 1)):
        parts = list(parts_of_key)
        referred, rule = parts[0][2], parts[0][3].replace("_", " ")
        if referred not in names or table not in columns:
            continue  # the table was created after the tables were listed
        own_columns = tuple(columns[table][part[4]].name for part in parts)
        referred_columns = tuple(columns[referred][part[5]].name for part in parts)
        on_delete = None if rule == "NO ACTION" else rule
        key = model.ForeignKey(name, own_columns, *names[referred], referred_columns, on_delete)
        foreign_keys.setdefault(table, []).append(key)
    return foreign_keys
