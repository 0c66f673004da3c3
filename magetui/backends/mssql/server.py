"""Facts about a SQL Server and our login."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from magetui.backends.mssql.query import fetch, fetch_if_allowed, statement
from magetui.model.server import ServerFacts

EXPERIMENTAL = (
    "SQL Server is supported experimentally: magetui knows it from its documentation alone. Try your plan on a copy of "
    "the database first. Mage takes no lock of its own on SQL Server: stop Mage before you change anything."
)
HIDDEN = (
    "This login may not see the sessions of others, so magetui cannot show which sessions block a migration. Grant it "
    "VIEW SERVER STATE (on Azure SQL Database, VIEW DATABASE STATE)."
)


def read_server(connection: Connection) -> ServerFacts:
    [(version, database, schema, login, updateability)] = fetch(connection, statement("server"))
    read_only = None
    if updateability == "READ_ONLY":
        read_only = (
            f"The database {database} is read-only on this server: it was set so, or it is a secondary replica, to "
            "which ApplicationIntent=ReadOnly in a URL connects."
        )
    locks = fetch_if_allowed(connection, "select top (1) request_session_id from sys.dm_tran_locks")
    return ServerFacts(
        version=str(version),
        database=database,
        schema=schema,
        user=login,
        read_only=read_only,
        experimental=EXPERIMENTAL,
        hidden=HIDDEN if locks is None else None,
    )
