"""The catalog and management views of the fake SQL Server: their columns, and rows as documented."""

from __future__ import annotations

import re
import sqlite3
import time
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.support.sqlserver.server import Scene

if TYPE_CHECKING:
    from tests.support.sqlserver.session import FakeSession

DATABASE_ID = 5
DBO = 1
BEGAN = "2026-01-01 00:00:00"

# Columns from the pages of the catalog views and dynamic management views in the Transact-SQL reference; of long lists
# only the columns that a query needs. `handle` stands for the argument of a table-valued function.
VIEWS = {
    "objects": "name object_id principal_id schema_id parent_object_id type type_desc create_date is_ms_shipped",
    "tables": "name object_id principal_id schema_id parent_object_id type type_desc create_date is_ms_shipped",
    "schemas": "name schema_id principal_id",
    "database_principals": "name principal_id type type_desc default_schema_name",
    "columns": "object_id name column_id system_type_id user_type_id max_length precision scale collation_name"
    " is_nullable is_identity is_computed default_object_id",
    "types": "name system_type_id user_type_id schema_id max_length precision scale",
    "default_constraints": "name object_id parent_object_id parent_column_id definition",
    "computed_columns": "object_id name column_id definition is_persisted",
    "indexes": "object_id name index_id type type_desc is_unique is_primary_key is_unique_constraint is_disabled"
    " is_hypothetical has_filter filter_definition",
    "index_columns": "object_id index_id index_column_id column_id key_ordinal is_descending_key is_included_column",
    "foreign_keys": "name object_id parent_object_id referenced_object_id delete_referential_action_desc",
    "foreign_key_columns": "constraint_object_id constraint_column_id parent_object_id parent_column_id"
    " referenced_object_id referenced_column_id",
    "check_constraints": "name object_id parent_object_id definition",
    "partitions": "partition_id object_id index_id partition_number hobt_id rows",
    "allocation_units": "allocation_unit_id type type_desc container_id total_pages used_pages data_pages",
    "system_views": "name object_id schema_id",
    "dm_exec_sessions": "session_id login_time host_name program_name login_name status context_info"
    " last_request_start_time last_request_end_time is_user_process transaction_isolation_level"
    " open_transaction_count database_id",
    "dm_exec_requests": "session_id request_id start_time status command sql_handle database_id blocking_session_id"
    " wait_type wait_time wait_resource total_elapsed_time percent_complete",
    "dm_exec_connections": "session_id client_net_address connection_id parent_connection_id most_recent_sql_handle",
    "dm_exec_sql_text": "handle dbid objectid number encrypted text",
    "dm_tran_session_transactions": "session_id transaction_id is_user_transaction",
    "dm_tran_active_transactions": "transaction_id name transaction_begin_time",
    "dm_tran_locks": "resource_type resource_subtype resource_database_id resource_description"
    " resource_associated_entity_id request_mode request_type request_status request_session_id request_owner_type",
}
NEED_VIEW_SERVER_STATE = ("dm_tran", "dm_exec_connections", "dm_exec_sql_text")
TYPES = {"int": 56, "varchar": 167, "datetime": 61, "bit": 104, "float": 62, "datetimeoffset": 43}
SPELLED = {"INTEGER": "int", "TEXT": "varchar", "DATETIME": "datetime", "BIT": "bit", "REAL": "float"} | {
    "TIMESTAMPTZ": "datetimeoffset"
}


def object_id(table: str) -> int:
    return zlib.crc32(table.encode()) & 0x0FFFFFFF


def session_row(
    number: int, login: str, program: str, context: bytes | None, open_: bool, began: str, last_request: str
) -> dict[str, Any]:
    return {
        "session_id": number, "login_name": login, "program_name": program, "context_info": context,
        "host_name": "app1", "status": "sleeping", "is_user_process": 1, "open_transaction_count": int(open_),
        "database_id": DATABASE_ID, "login_time": began, "last_request_end_time": last_request,
        "transaction_isolation_level": 2,
    }  # fmt: skip


def connection_row(number: int) -> dict[str, Any]:
    return {"session_id": number, "client_net_address": "10.0.3.7", "most_recent_sql_handle": number}


def lock_row(session: int, table: str, mode: str, status: str) -> dict[str, Any]:
    return {
        "resource_type": "OBJECT", "resource_database_id": DATABASE_ID, "resource_description": "",
        "resource_associated_entity_id": object_id(table), "request_mode": mode, "request_status": status,
        "request_session_id": session, "request_owner_type": "TRANSACTION",
    }  # fmt: skip


def application_lock_row(session: int, name: str) -> dict[str, Any]:
    return {
        "resource_type": "APPLICATION", "resource_database_id": DATABASE_ID, "request_session_id": session,
        "resource_description": f"0:[{name[:32]}]:(8b94b4a1)", "resource_associated_entity_id": 0, "request_mode": "X",
        "request_status": "GRANT", "request_owner_type": "SESSION",
    }  # fmt: skip


def fill(raw: sqlite3.Connection, scene: Scene, links: Sequence[FakeSession]) -> None:
    """Fill all views from the users' tables, the sessions of this process and the scene."""
    for view in VIEWS:
        raw.execute(f"delete from sys.{view}")
    _insert(raw, "schemas", [{"name": "dbo", "schema_id": DBO, "principal_id": 1}])
    _insert(raw, "database_principals", [{"name": "dbo", "principal_id": 1}])
    _insert(raw, "system_views", [{"name": "dm_exec_sessions"}])
    _insert(raw, "types", [{"name": name, "user_type_id": number} for name, number in TYPES.items()])
    names = raw.execute("select name from main.sqlite_master where type = 'table' and name not like 'sqlite_%'")
    for (name,) in names.fetchall():
        _fill_table(raw, name)
    _fill_sessions(raw, scene, links)


def _fill_table(raw: sqlite3.Connection, name: str) -> None:
    key = object_id(name)
    table_row = {"name": name, "object_id": key, "schema_id": DBO, "type": "U", "is_ms_shipped": 0}
    _insert(raw, "tables", [table_row])
    _insert(raw, "objects", [table_row])
    [(rows,)] = raw.execute(f'select count(*) from main."{name}"')
    _insert(raw, "partitions", [{"partition_id": key, "hobt_id": key, "object_id": key, "index_id": 1, "rows": rows}])
    _insert(raw, "allocation_units", [{"type": 1, "container_id": key, "total_pages": 2}])
    columns = raw.execute(f'pragma main.table_info("{name}")').fetchall()
    for number, column, kind, not_null, default, primary in columns:
        type_name, length = re.fullmatch(r"(\w+)(?:\((\d+)\))?", kind).groups()  # type: ignore[union-attr]
        column_row = {
            "object_id": key, "column_id": number + 1, "name": column, "precision": 0, "scale": 0,
            "user_type_id": TYPES[SPELLED[type_name.upper()]], "max_length": int(length or 4),
            "is_nullable": not not_null,
            "is_identity": int(primary and type_name.upper() == "INTEGER"),
            "default_object_id": 0 if default is None else key + number,
        }  # fmt: skip
        _insert(raw, "columns", [column_row])
        if default is not None:
            _insert(raw, "default_constraints", [{"object_id": key + number, "definition": f"({default})"}])
    indexes = [(f"PK_{name}", 1, [column[1] for column in columns if column[5]], True)]
    for _, index, unique, origin, _ in raw.execute(f'pragma main.index_list("{name}")').fetchall():
        if origin != "pk":
            parts = raw.execute(f'pragma main.index_info("{index}")').fetchall()
            indexes.append((index, unique, [part[2] for part in parts], False))
    numbers = {column[1]: column[0] + 1 for column in columns}
    for number, (index, unique, parts, primary) in enumerate(indexes, start=1):
        index_row = {
            "object_id": key, "name": index, "index_id": number, "type": 2 - primary, "is_unique": unique,
            "is_primary_key": primary, "is_unique_constraint": 0, "is_disabled": 0, "is_hypothetical": 0,
        }  # fmt: skip
        _insert(raw, "indexes", [index_row])
        for position, part in enumerate(parts, start=1):
            part_row = {
                "object_id": key, "index_id": number, "index_column_id": position, "column_id": numbers[part],
                "key_ordinal": position, "is_descending_key": 0, "is_included_column": 0,
            }  # fmt: skip
            _insert(raw, "index_columns", [part_row])
    _fill_foreign_keys(raw, name, numbers)


def _fill_foreign_keys(raw: sqlite3.Connection, name: str, numbers: dict[str, int]) -> None:
    rows = raw.execute(f'pragma main.foreign_key_list("{name}")').fetchall()
    for number, position, referred, column, referred_column, _, on_delete, _ in rows:
        referred_numbers = {
            row[1]: row[0] + 1 for row in raw.execute(f'pragma main.table_info("{referred}")').fetchall()
        }
        constraint = object_id(f"FK_{name}_{number}")
        key_row = {
            "name": f"FK_{name}_{number}", "object_id": constraint, "parent_object_id": object_id(name),
            "referenced_object_id": object_id(referred),
            "delete_referential_action_desc": on_delete.replace(" ", "_"),
        }  # fmt: skip
        _insert(raw, "foreign_keys", [key_row] if position == 0 else [])
        part_row = {
            "constraint_object_id": constraint, "constraint_column_id": position + 1,
            "parent_column_id": numbers[column], "referenced_column_id": referred_numbers[referred_column],
        }  # fmt: skip
        _insert(raw, "foreign_key_columns", [part_row])


def _fill_sessions(raw: sqlite3.Connection, scene: Scene, links: Sequence[FakeSession]) -> None:
    for link in links:
        _insert(
            raw,
            "dm_exec_sessions",
            [
                session_row(
                    link.session, link.login, link.program, link.context, link.in_transaction, link.began, link.began
                )
            ],
        )
        holder = link.waiting[1] if link.waiting else 0
        request = {"session_id": link.session, "database_id": DATABASE_ID, "blocking_session_id": holder,
                   "wait_type": "LCK_M_SCH_M" if holder else None, "total_elapsed_time": 250}  # fmt: skip
        _insert(raw, "dm_exec_requests", [request] if link.running else [])
        _insert(raw, "dm_exec_connections", [connection_row(link.session)])
        _insert(raw, "dm_exec_sql_text", [{"handle": link.session, "text": link.running}])
        if link.waiting:
            _insert(raw, "dm_tran_locks", [lock_row(link.session, link.waiting[0], "Sch-M", "WAIT")])
        _insert(raw, "dm_tran_locks", [application_lock_row(link.session, name) for name in link.locks])
    for other in scene.others if not scene.denied else []:
        _insert(
            raw,
            "dm_exec_sessions",
            [
                session_row(
                    other.session, other.login, other.program, None, bool(other.holds), BEGAN, other.last_request
                )
            ],
        )
        _insert(raw, "dm_exec_connections", [connection_row(other.session)])
        _insert(raw, "dm_exec_sql_text", [{"handle": other.session, "text": other.query}])
        if other.holds:
            _insert(raw, "dm_tran_locks", [lock_row(other.session, other.holds, "IX", "GRANT")])
            session_transaction = {
                "session_id": other.session,
                "transaction_id": other.session,
                "is_user_transaction": 1,
            }
            _insert(raw, "dm_tran_session_transactions", [session_transaction])
            transaction = {
                "transaction_id": other.session,
                "transaction_begin_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 90)),
            }
            _insert(raw, "dm_tran_active_transactions", [transaction])
        if other.application_lock:
            _insert(raw, "dm_tran_locks", [application_lock_row(other.session, other.application_lock)])


def _insert(raw: sqlite3.Connection, view: str, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        names = ", ".join(row)
        raw.execute(f"insert into sys.{view} ({names}) values ({', '.join('?' * len(row))})", [*row.values()])
