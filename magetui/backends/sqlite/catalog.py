"""Tables and leftovers from SQLite's schema tables, read in bulk through its table-valued pragmas.

A pragma for one table costs one statement for each table. Joined with sqlite_master, it is one statement for all
tables. Facts are from sqlite.org: pragma.html ("PRAGMA functions"), dbstat.html and fileformat2.html (sqlite_stat1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from sqlalchemy.engine import Connection

from magetui.backends import query
from magetui.backends.problems import no_version_column
from magetui.backends.query import fetch, identifier
from magetui.model import schema as model
from magetui.model.schema_change import DIGEST, SchemaObject

COUNTED_BYTES = 16 * 1024 * 1024  # rows are counted in a smaller file
COMPOUND_SELECTS = 500  # the default of SQLITE_MAX_COMPOUND_SELECT

UNKNOWN = "…"  # an expression in an index; the index's definition has its text

USER_TABLE = "m.type = 'table' and m.name not like 'sqlite\\_%' escape '\\' and (:name is null or m.name = :name)"
COLUMNS_SQL = f"""
select m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
from sqlite_master m join pragma_table_xinfo(m.name) c
where {USER_TABLE} and c.hidden <> 1
order by m.name, c.cid
"""
INDEXES_SQL = f"""
select m.name, i.name, i."unique", i.origin, i.partial, x.name, x."desc", x.coll, s.sql
from sqlite_master m join pragma_index_list(m.name) i join pragma_index_xinfo(i.name) x
left join sqlite_master s on s.type = 'index' and s.name = i.name
where {USER_TABLE} and i.origin <> 'pk' and x.key
order by m.name, i.name, x.seqno
"""
FOREIGN_KEYS_SQL = f"""
select m.name, f.id, f."table", f."from", f."to", f.on_delete
from sqlite_master m join pragma_foreign_key_list(m.name) f
where {USER_TABLE}
order by m.name, f.id, f.seq
"""
PRIMARY_KEYS_SQL = """
select m.name, c.name from sqlite_master m join pragma_table_xinfo(m.name) c
where m.type = 'table' and c.pk > 0
order by m.name, c.pk
"""
CHECKS_SQL = f"select m.name, m.sql from sqlite_master m where {USER_TABLE} and m.sql like '%check%'"
OTHER_VERSION_TABLES_SQL = """
select m.name from sqlite_master m join pragma_table_info(m.name) c
where m.type = 'table' and m.name <> :name
group by m.name having group_concat(c.name) = 'version_num'
order by m.name
"""
TABLES_SQL = f"select m.name from sqlite_master m where {USER_TABLE} order by m.name"
SIZES_SQL = """
select m.tbl_name, sum(d.pgsize) from dbstat d join sqlite_master m on m.name = d.name
where d.aggregate = true group by m.tbl_name
"""
FILE_SQL = """
select page_count * page_size,
       exists (select 1 from sqlite_master where name = 'sqlite_stat1'),
       exists (select 1 from pragma_module_list where name = 'dbstat')
from pragma_page_count, pragma_page_size
"""

# The tokens of a CREATE TABLE, as far as the search for CHECK needs them.
SQL_TOKEN = re.compile(
    r"""(?P<blank> \s+ | --[^\n]* | /\*.*?\*/ )
      | (?P<quoted> '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
      | (?P<word> [^\W\d]\w* )
      | (?P<other> . )""",
    re.VERBOSE | re.DOTALL,
)


def version_tables(connection: Connection, name: str, schema: str | None) -> tuple[model.VersionTable, ...]:  # noqa: ARG001
    """Return the table `name` if it exists, and the version tables of other chains.

    If `name` has no column version_num, its `rows` is None and `problem` says why.
    """
    others = [other for (other,) in fetch(connection, OTHER_VERSION_TABLES_SQL, {"name": name})]
    return (
        *_version_table(connection, name),
        *(replace(table, effective=False) for other in others for table in _version_table(connection, other)),
    )


def _version_table(connection: Connection, name: str) -> tuple[model.VersionTable, ...]:
    columns = fetch(connection, COLUMNS_SQL, {"name": name})
    if not columns:
        return ()
    if not any(column == "version_num" for _, column, *_ in columns):
        return (model.VersionTable(None, name, None, True, no_version_column(f"The table {name}")),)
    rows = fetch(connection, f"select version_num from {identifier(name)} where version_num is not null", {})
    return (model.VersionTable(None, name, tuple(sorted(str(version) for (version,) in rows)), True),)


def leftovers(connection: Connection) -> tuple[model.Leftover, ...]:
    """Return the tables of Alembic's batch operations; `table` is the table that each should have replaced."""
    names = [name for (name,) in fetch(connection, TABLES_SQL, {"name": None}) if name.startswith(model.BATCH_PREFIX)]
    return tuple(model.Leftover("leftover-table", None, name, name.removeprefix(model.BATCH_PREFIX)) for name in names)


def tables(connection: Connection, schema: str | None = None) -> tuple[model.Table, ...]:  # noqa: ARG001
    """Return every table except SQLite's own, by name, in a fixed number of queries.

    `rows` is the count of the last ANALYZE; without ANALYZE, rows are counted now if the file is smaller than 16 MB.
    `bytes`, with indexes, is measured in such a file if SQLite was built with dbstat, which reads the complete file.
    Otherwise the values are None.
    """
    return _listed(connection, None)


def table_details(
    connection: Connection,
    schema: str | None = None,  # noqa: ARG001
    name: str | None = None,
) -> tuple[model.TableDetail, ...]:
    """Return the table `name`, or all tables by name, in a fixed number of queries.

    Only checks have names, from the table's SQL: no pragma knows the names of constraints. `indexes` leaves out the
    primary key's index; `definition` is the index's SQL if its columns do not describe it completely.
    """
    scope = {"name": name}
    columns: dict[str, list[model.Column]] = {}
    for table, column, kind, not_null, default, _ in fetch(connection, COLUMNS_SQL, scope):
        columns.setdefault(table, []).append(model.Column(column, kind, not not_null, default))
    keys: dict[str, list[str]] = {}
    for table, column in fetch(connection, PRIMARY_KEYS_SQL, {}):
        keys.setdefault(table, []).append(column)
    constraints: dict[str, list[model.Constraint]] = {}
    indexes = _indexes(connection, scope, constraints)
    foreign_keys = _foreign_keys(connection, scope, keys)
    for table, sql in fetch(connection, CHECKS_SQL, scope):
        constraints.setdefault(table, []).extend(_checks(sql))
    listed = [(table.name, table) for table in _listed(connection, name)]
    return query.table_details(listed, columns, keys, indexes, foreign_keys, constraints)


def _listed(connection: Connection, name: str | None) -> tuple[model.Table, ...]:
    names = [table for (table,) in fetch(connection, TABLES_SQL, {"name": name})]
    [(file_bytes, has_statistics, has_sizes)] = fetch(connection, FILE_SQL, {})
    small = file_bytes < COUNTED_BYTES
    counts: dict[str, int] = {}
    if has_statistics:
        for table, statistics in fetch(connection, "select tbl, stat from sqlite_stat1 where stat is not null", {}):
            counts[table] = max(counts.get(table, 0), int(statistics.split()[0]))
    if small:
        uncounted = [table for table in names if table not in counts]
        for start in range(0, len(uncounted), COMPOUND_SELECTS):
            part = uncounted[start : start + COMPOUND_SELECTS]
            sql = " union all ".join(
                f"select {index}, count(*) from {identifier(table)}" for index, table in enumerate(part)
            )
            counts.update((part[index], count) for index, count in fetch(connection, sql, {}))
    sizes: dict[str, int] = dict(fetch(connection, SIZES_SQL, {})) if small and has_sizes else {}
    return tuple([model.Table(None, table, counts.get(table), sizes.get(table)) for table in names])


def _indexes(
    connection: Connection, scope: Mapping[str, Any], constraints: dict[str, list[model.Constraint]]
) -> dict[str, list[model.Index]]:
    """Return the indexes of each table except the primary key's. Adds each unique constraint to `constraints`."""
    parts = groupby(fetch(connection, INDEXES_SQL, scope), key=lambda row: (row[0], row[1]))
    indexes: dict[str, list[model.Index]] = {}
    for (table, name), rows_of_index in parts:
        rows = list(rows_of_index)
        _, _, unique, origin, partial, *_, sql = rows[0]
        names = tuple(column if column is not None else UNKNOWN for *_, column, _, _, _ in rows)
        plain = not partial and all(
            column is not None and not descending and collation == "BINARY"
            for *_, column, descending, collation, _ in rows
        )
        indexes.setdefault(table, []).append(model.Index(name, names, bool(unique), True, None if plain else sql))
        if origin == "u":
            definition = f"UNIQUE ({', '.join(names)})"
            constraints.setdefault(table, []).append(model.Constraint(None, "unique", definition, names))
    return indexes


def _foreign_keys(
    connection: Connection, scope: Mapping[str, Any], keys: Mapping[str, Sequence[str]]
) -> dict[str, list[model.ForeignKey]]:
    parts = groupby(fetch(connection, FOREIGN_KEYS_SQL, scope), key=lambda row: (row[0], row[1]))
    primary_keys = {name.lower(): key for name, key in keys.items()}
    foreign_keys: dict[str, list[model.ForeignKey]] = {}
    for (table, _), rows_of_key in parts:
        rows = list(rows_of_key)
        referred, on_delete = rows[0][2], rows[0][5]
        columns = tuple(row[3] for row in rows)
        named = tuple(row[4] for row in rows if row[4] is not None)  # none: the key refers to the primary key
        referred_columns = named or tuple(primary_keys.get(referred.lower(), ()))
        rule = None if on_delete == "NO ACTION" else on_delete
        key = model.ForeignKey(None, columns, None, referred, referred_columns, rule)
        foreign_keys.setdefault(table, []).append(key)
    return foreign_keys


def _checks(sql: str) -> Iterator[model.Constraint]:
    """Yield the CHECK constraints of a CREATE TABLE that SQLite accepted, with their names if they have names."""
    tokens = [match for match in SQL_TOKEN.finditer(sql) if match.lastgroup != "blank"]
    depth = start = 0
    name: str | None = None
    inside = False
    for index, token in enumerate(tokens):
        text = token.group()
        if text == "(":
            depth += 1
            if depth == 2 and tokens[index - 1].group().upper() == "CHECK":
                inside, start = True, token.start()
                named = index >= 3 and tokens[index - 3].group().upper() == "CONSTRAINT"
                name = _unquoted(tokens[index - 2].group()) if named else None
        elif text == ")":
            depth -= 1
            if depth == 1 and inside:
                inside = False
                yield model.Constraint(name, "check", f"CHECK {sql[start : token.end()]}")


def _unquoted(name: str) -> str:
    if name[0] == "[":
        return name[1:-1]
    return name[1:-1].replace(name[0] * 2, name[0]) if name[0] in "'\"`" else name


def definitions(connection: Connection) -> tuple[str, ...]:
    """Return the original SQL of tables, then of indexes, views and triggers (sqlite.org/schematab.html)."""
    sql = "select sql from sqlite_master where sql is not null and name not like 'sqlite\\_%' escape '\\' "
    rows = connection.exec_driver_sql(sql + "order by type <> 'table', rowid")
    return tuple(row[0] for row in rows)


def schema_objects(connection: Connection) -> tuple[SchemaObject, ...]:
    """See `Catalog.schema_objects`. An index has no SQL if it belongs to a constraint of its table."""
    rows = connection.exec_driver_sql("select type, name, tbl_name, sql from sqlite_master where sql is not null")
    return tuple(
        SchemaObject(kind, name, {"definition": f"{DIGEST}{sql}"}, None if kind in ("table", "view") else table)
        for kind, name, table, sql in rows
    )
