"""All objects of a database's schemas, to find out what a run has changed: in every schema, with owners and validity.

The catalogs are compared as they are stored, so that nothing waits for a lock: functions that print an expression
would. Only the values of sequences can be locked away, and are then left out.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.query import fetch, statement
from magetui.model.schema_change import VALUE, SchemaObject

# pg_sequences (manual, 53.26) shows no value to a role that may not read the sequence.
VALUES_SQL = """
select 'sequence', schemaname || '.' || sequencename, last_value::text from pg_sequences
where left(schemaname, 3) <> 'pg_' and schemaname <> 'information_schema'
"""


def schema_objects(connection: Connection) -> tuple[SchemaObject, ...]:
    """See `Catalog.schema_objects`."""
    values = {(kind, name): value for kind, name, value in _sequence_values(connection)}
    objects = []
    for kind, name, table, aspects in fetch(connection, statement("objects"), {}):
        named = {aspect: value or "" for aspect, value in zip(aspects[::2], aspects[1::2], strict=True)}
        if (kind, name) in values:
            named[VALUE] = values[kind, name] or ""
        objects.append(SchemaObject(kind, name, named, table))
    return tuple(objects)


def _sequence_values(connection: Connection) -> list[tuple[str, str, str | None]]:
    try:
        return [(kind, name, value) for kind, name, value in fetch(connection, VALUES_SQL, {})]
    except DBAPIError:  # a sequence is locked, or has just been dropped
        return []
