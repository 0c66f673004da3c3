"""Facts about a PostgreSQL server and our session: version, schemas, privileges, address, TLS and pooler.

The driver knows the server's address even if the URL does not name it.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine import URL, Connection

from magetui.backends.postgresql.pooler import is_pooled, keeps_sessions, server_location
from magetui.backends.query import identifier
from magetui.model.server import Pooler, ServerFacts

SERVER_SQL = """
select current_setting('server_version'), current_database()::text, current_schema()::text, current_user::text,
       current_setting('search_path'), pg_is_in_recovery(),
       (select reset_val from pg_settings where name = 'default_transaction_read_only'),
       array(select nspname::text from pg_namespace),
       array(select nspname::text from pg_namespace where not has_schema_privilege(oid, 'usage')),
       has_database_privilege(current_database(), 'create'),
       coalesce(has_schema_privilege(current_schema(), 'create'), true),
       array(select distinct pg_get_userbyid(relowner)::text from pg_class
             where relnamespace = (select oid from pg_namespace where nspname = current_schema())
               and relkind in ('r', 'p')
               and pg_has_role(relowner, 'member')),
       (select case when setdatabase <> 0 and setrole <> 0 then 'both' when setrole <> 0 then 'role' else 'database' end
        from pg_db_role_setting, unnest(setconfig) setting
        where setdatabase in (0, (select oid from pg_database where datname = current_database()))
          and setrole in (0, (select oid from pg_roles where rolname = session_user))
          and setting like 'default_transaction_read_only=%%'
        order by setrole <> 0 desc, setdatabase <> 0 desc limit 1),
       (select sender_host || ':' || sender_port from pg_stat_wal_receiver),
       pg_backend_pid(), host(inet_server_addr()), inet_server_port()
"""
# A name of a search_path: literal inside quotes, else folded to lower case (manual, 4.1.1).
NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,\s]+))\s*(?:,|$)')
# The search_path in libpq's `options`, where a backslash escapes a space (manual, 34.1.2).
SEARCH_PATH = re.compile(r"(?:^|\s)(?:-c\s*|--)search_path\s*=\s*((?:\\.|\S)*)", re.IGNORECASE)


def read_server(connection: Connection) -> ServerFacts:
    row = connection.exec_driver_sql(SERVER_SQL).one()
    version, database, schema, user, path, in_recovery, read_only_default, schemas, closed, *rest = row
    may_create_schemas, may_create_tables, may_become, set_for, upstream, session, address, port = rest
    wanted = names(path)
    missing = tuple(dict.fromkeys(name for name in wanted if name not in (*schemas, "$user")))
    if schema is None and "$user" in wanted and not missing and user not in schemas:
        missing = (user,)  # the search_path names nothing but the role's own schema
    raw: Any = connection.connection.dbapi_connection
    pooler = None
    if is_pooled(raw, session):
        asked = wanted_path(connection.engine.url)
        dropped = None if asked is None or names(asked) == names(path) else asked
        pooler = Pooler(keeps_sessions(connection), server_location(address, port), dropped)
    return ServerFacts(
        version=version.split()[0],
        database=database,
        schema=schema,
        user=user,
        missing_schemas=missing,
        read_only=_read_only(
            upstream,
            in_recovery=in_recovery,
            default=_default(set_for, database, user) if read_only_default == "on" else None,
        ),
        closed_schemas=tuple(name for name in wanted if name in closed),
        may_create_schemas=may_create_schemas,
        may_create_tables=may_create_tables,
        may_become=tuple(may_become),
        address=_address(raw.info),
        tls=(raw.info.ssl_attribute("protocol") or "TLS") if raw.info.ssl_in_use else None,
        pooler=pooler,
    )


def names(path: str) -> list[str]:
    """Return the schemas that a search_path names, in order."""
    return [quoted.replace('""', '"') or plain.lower() for quoted, plain in NAME.findall(path)]


def wanted_path(url: URL) -> str | None:
    """Return the search_path that a URL's `options` set; None if they set none."""
    options = url.query.get("options", "")
    text = options if isinstance(options, str) else " ".join(options)
    found = SEARCH_PATH.findall(text)
    return re.sub(r"\\(.)", r"\1", found[-1]) if found else None


def _default(set_for: str | None, database: str, user: str) -> str:
    """Return where default_transaction_read_only is set, and the statement that resets it, as sentences.

    `set_for` is the row of pg_db_role_setting that applies (manual, 53.16): a role's comes before a database's.
    """
    reset = "RESET default_transaction_read_only"
    where, sql = {
        "both": (
            f"the role {user} in the database {database}",
            f"ALTER ROLE {{role}} IN DATABASE {{name}} {reset}",
        ),
        "role": (f"the role {user}", f"ALTER ROLE {{role}} {reset}"),
        "database": (f"the database {database}", f"ALTER DATABASE {{name}} {reset}"),
        None: ("the complete server, in its configuration", f"ALTER SYSTEM {reset}; SELECT pg_reload_conf()"),
    }[set_for]
    statement = sql.format(role=identifier(user), name=identifier(database))
    return f"default_transaction_read_only is on for {where}: the server takes no writes. To reset it: {statement};"


def _read_only(upstream: str | None, *, in_recovery: bool, default: str | None) -> str | None:
    if in_recovery:
        primary = f"the server {upstream}" if upstream else "another server"
        return f"The server is a standby, in recovery: it replays {primary} and takes no writes."
    return default


def _address(info: Any) -> str:
    """Return where the driver is connected: 'db1:5432', '[::1]:5432' or 'the socket /run/…'."""
    host = info.host or "localhost"
    if host.startswith(("/", "@")):
        return f"the socket {host.rstrip('/')}/.s.PGSQL.{info.port}"
    return f"[{host}]:{info.port}" if ":" in host else f"{host}:{info.port}"
