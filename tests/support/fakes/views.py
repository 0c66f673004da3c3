"""The views that the fake of SQL Server answers from: their columns, and rows as the documentation describes them."""

from __future__ import annotations

import zlib
from typing import Any

DATABASE_ID = 5

# Columns as the pages of the catalog views and dynamic management views in the Transact-SQL reference list them; of
# long lists the part that anybody here has a use for. `handle` stands for the argument of a table-valued function.
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
    number: int, login: str, program: str, context: bytes | None, open_: bool, began: str
) -> dict[str, Any]:
    return {
        "session_id": number, "login_name": login, "program_name": program, "context_info": context,
        "host_name": "app1", "status": "sleeping", "is_user_process": 1, "open_transaction_count": int(open_),
        "database_id": DATABASE_ID, "login_time": began, "last_request_end_time": began,
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
