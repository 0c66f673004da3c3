"""What surrounds PostgreSQL's tables, from its catalogs; and queries for the rows that would stop an operation.

The catalogs are read as they are stored, so that nothing waits for a lock (manual, 53). A query for rows takes ACCESS
SHARE on its tables, as any SELECT does.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.bounded_reads import OWN_NAMES
from magetui.backends.postgresql.counts import HIDDEN_ROWS, POLICY, PROBLEMS, QUERY_CANCELED
from magetui.backends.postgresql.query import fetch, sqlstate, statement
from magetui.backends.problems import LOOKING_TOOK_TOO_LONG, NO_TIME_TO_LOOK
from magetui.backends.query import first_rows, found
from magetui.model import surroundings as model

KINDS = {"v": "view", "m": "materialized view", "S": "sequence", "f": "foreign table", "c": "composite type"}
CASTS: Mapping[str | None, model.Castable] = {"i": "assigned", "a": "assigned", "e": "explicit"}
CAST_SQL = """
select o.oid, n.oid, n.typcategory::text, c.castcontext::text
from (select to_regtype(%(old)s)::oid as old, to_regtype(%(new)s)::oid as new) named
left join pg_type o on o.oid = named.old left join pg_type n on n.oid = named.new
left join pg_cast c on c.castsource = o.oid and c.casttarget = n.oid
"""


def surroundings(connection: Connection) -> model.Surroundings:
    """See `Catalog.surroundings`."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for kind, *values in fetch(connection, statement("surroundings"), {}):
        found.setdefault(kind, []).append(tuple(values))

    def of(kind: str) -> list[tuple[str, ...]]:
        return found.get(kind, [])

    return model.Surroundings(
        schemas=frozenset(name for _, name, *_ in of("schema")),
        closed_schemas=frozenset(name for _, name, *_ in of("closed schema")),
        relations=tuple(model.Relation(schema, name, KINDS[kind]) for schema, name, kind, *_ in of("relation")),
        types=frozenset((schema, name) for schema, name, *_ in of("type")),
        dependents=tuple(
            model.Dependent((schema, table), column, name, holds == "n")
            for schema, table, column, name, holds in of("dependent")
        ),
        constraints=tuple(
            model.NamedConstraint((schema, table), name, kind) for schema, table, name, kind, _ in of("constraint")
        ),
        not_owned=frozenset((schema, name) for schema, name, *_ in of("not owned")),
        special=frozenset((schema, name) for schema, name, *_ in of("special")),
        event_triggers=tuple(name for _, name, *_ in of("event trigger")),
    )


def find(connection: Connection, sql: str, limit_ms: int) -> model.Found:
    """See `Catalog.find`. Only PostgreSQL's own functions and operators are called: others do not exist for it."""
    if limit_ms <= 0:
        return model.Found(problem=NO_TIME_TO_LOOK)
    limited = f"{OWN_NAMES}; set local statement_timeout = {limit_ms}; {first_rows(sql)}".replace("%", "%%")
    try:
        return found(connection.exec_driver_sql(limited, {}))
    except DBAPIError as error:
        code = sqlstate(error)
        problem = HIDDEN_ROWS if POLICY in str(error.orig) else PROBLEMS.get(code or "")
        problem = LOOKING_TOOK_TOO_LONG if code == QUERY_CANCELED else problem
        if code is None or error.connection_invalidated:
            raise
        return model.Found(problem=problem or str(error.orig).partition("\n")[0], code=code)


def castable(connection: Connection, old: str, new: str) -> model.Castable | None:
    """See `Catalog.castable`. Types are those of pg_catalog; None for others.

    A change of type without USING takes an assignment cast (manual, ALTER TABLE); every type has one to a text type, by
    its output function (manual, CREATE CAST).
    """
    [(was, will, category, context)] = fetch(connection, CAST_SQL, {"old": old, "new": new})
    if was is None or will is None:
        return None
    return "always" if was == will or category == "S" else CASTS.get(context, "never")
