"""What a real server locks, reads and rewrites, and what the lock forecast claims of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from psycopg2 import extensions

from magetui.backends.postgresql.backend import PostgreSQL
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.preview.lock_forecast import after, effects
from magetui.engine.preview.lock_rules import Effect, merged
from magetui.model.lock_modes import lock_mode
from magetui.model.operations import ExecuteSql, Operation
from tests.support.databases import PostgresDatabase

RELATIONS = """
select c.oid, case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end,
       pg_relation_filenode(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm') and n.nspname in ('public', 'archive') and c.relname <> 'alembic_version'
"""
LOCKS = """
select relation, mode from pg_locks where locktype = 'relation' and pid = pg_backend_pid() and granted
"""
WANTED = """
select relation::regclass::text, mode from pg_locks where locktype = 'relation' and pid = {pid} and not granted
"""
ROWS_READ = "select relid, seq_tup_read from pg_stat_xact_user_tables"


@dataclass(frozen=True)
class Seen:
    """What the server did to the tables that were there before."""

    locks: dict[str, str]
    rewritten: set[str]
    scanned: set[str]


def observed(cursor: Any, act: Callable[[], object]) -> Seen:
    """Do it in the transaction that is open, and look before it ends."""
    cursor.execute(RELATIONS)
    relations = cursor.fetchall()
    names = {oid: name for oid, name, _ in relations}
    cursor.execute(ROWS_READ)
    read = dict(cursor.fetchall())
    act()
    cursor.execute(LOCKS)
    locks: dict[str, str] = {}
    for oid, mode in cursor.fetchall():
        if oid in names:
            locks[names[oid]] = max(mode, locks.get(names[oid], mode), key=strength)
    cursor.execute(RELATIONS)
    files = {oid: file for oid, _, file in cursor.fetchall()}
    rewritten = {name for oid, name, file in relations if oid in files and files[oid] != file}
    cursor.execute(ROWS_READ)
    scanned = {names[oid] for oid, rows in cursor.fetchall() if oid in names and rows > read.get(oid, 0)}
    return Seen(locks, rewritten, scanned)


def strength(name: str) -> int:
    mode = lock_mode(name)
    assert mode is not None, name
    return mode.strength


def claimed(made: Iterable[Effect]) -> dict[str, str]:
    return {shown(one): one.mode.pg_locks for one in made if one.table is not None and one.mode is not None}


def shown(effect: Effect) -> str:
    return str(effect.table) if effect.schema == "public" else f"{effect.schema}.{effect.table}"


def with_work(made: Iterable[Effect], *works: str) -> set[str]:
    return {shown(one) for one in made if one.work in works and one.table is not None}


def run_through(
    operations: Iterable[Operation], server: int, known: SchemaState
) -> tuple[tuple[Effect, ...], SchemaState]:
    """One transaction's effects, all together."""
    made: list[Effect] = []
    for operation in operations:
        made += effects(operation, server, known)
        known = after(operation, known)
    return merged(made), known


def known_of(database: PostgresDatabase) -> SchemaState:
    engine = PostgreSQL().reader(sa.make_url(database.url), "tests")
    with engine.connect() as connection:
        details = PostgreSQL().table_details(connection)
    engine.dispose()
    return SchemaState.read("postgresql", "public", details)


def differences(
    connection: extensions.connection, known: SchemaState, server: int, statements: Iterable[str], works: bool = True
) -> dict[str, object]:
    """For each statement for which claim and server differ, both. `works`: whether tables are read as it is claimed."""
    found: dict[str, object] = {}
    with connection.cursor() as cursor:
        for statement in statements:
            made = effects(ExecuteSql(statement), server, known)
            seen = observed(cursor, partial(cursor.execute, statement))
            connection.rollback()
            unsure = {shown(one) for one in made if one.note and "unless" in one.note}
            if claimed(made) != seen.locks:
                found[statement] = made, seen.locks
            elif with_work(made, "rewrite") - unsure != seen.rewritten - unsure:
                found[statement] = made, "written anew", seen.rewritten
            elif works and with_work(made, "scan", "build", "rewrite") - unsure != seen.scanned - unsure:
                found[statement] = made, "read", seen.scanned
            elif any(one.table is None for one in made):
                found[statement] = made, "not named"
    return found
