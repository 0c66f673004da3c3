"""A migration of a large table that stays in the middle of its statement for as long as a test wants.

At one row the statement polls for an advisory lock that the test holds. So the statement is active, like any long
statement: it does not wait for a lock, and magetui does not report it as waiting. It ends after the gate opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg2 import extensions

from tests.support.alembic_project import AlembicProject, Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase

GATE = 770_077
ROWS = 50_000
HALF = ROWS // 2
REWRITE = "UPDATE big"

LARGE_TABLE = Revision(
    id="rev1",
    down=None,
    message="Create big",
    upgrade=f'''\
op.execute("CREATE TABLE big (id integer PRIMARY KEY, name text NOT NULL)")
op.execute("INSERT INTO big SELECT n, 'row ' || n FROM generate_series(1, {ROWS}) n")
op.execute("""
CREATE FUNCTION gate() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  WHILE NOT pg_try_advisory_xact_lock_shared({GATE}) LOOP PERFORM pg_sleep(0.02); END LOOP;
  RETURN '';
END $$
""")''',
    downgrade='op.execute("DROP FUNCTION gate()")\nop.drop_table("big")',
)
REWRITTEN = Revision(
    id="rev2",
    down="rev1",
    message="Rewrite big",
    upgrade=f'''\
op.add_column("big", sa.Column("extra", sa.Integer))
op.execute("{REWRITE} SET extra = id, name = name || '!' || CASE id WHEN {HALF} THEN gate() ELSE '' END")''',
    downgrade='op.drop_column("big", "extra")',
)


def gated_project(directory: Path, database: PostgresDatabase) -> AlembicProject:
    """Return a project: rev1 fills `big` with 50,000 rows, rev2 rewrites it and stops halfway, rev3 creates t3."""
    return make_project(directory, (LARGE_TABLE, REWRITTEN, table(3, down=2)), database.url)


def begun_project(directory: Path, database: PostgresDatabase, magetui: Magetui) -> AlembicProject:
    """Return the same project after run 1 has made the large table. Run 2 rewrites the table."""
    project = gated_project(directory, database)
    outcome = magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes")
    assert outcome.status == 0, outcome
    return project


@contextmanager
def closed_gate(database: PostgresDatabase) -> Iterator[extensions.connection]:
    """Close the gate. `rollback()` on the yielded session, or its end, opens the gate."""
    with database.session(f"SELECT pg_advisory_xact_lock({GATE})", "gatekeeper") as keeper:
        yield keeper
