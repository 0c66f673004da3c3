"""Two sessions wait for each other, and the server ends our statement: named as a deadlock, and tried again."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest

from tests.support.alembic_project import Revision, make_project, table
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase
from tests.support.journals import journal, named
from tests.support.live import Live
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

# The run waits with its second lock until the other session waits for its first one, so that the run closes the circle.
UNTIL_WAITED_FOR = """
DO $$ BEGIN FOR tries IN 1..600 LOOP
    EXIT WHEN EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 't1'::regclass)
        OR NOT EXISTS (SELECT 1 FROM pg_locks WHERE granted AND relation = 't2'::regclass);
    PERFORM pg_sleep(0.05);
END LOOP; END $$
"""
LOCKS_BOTH = Revision(
    "rev3",
    "rev2",
    "Lock both",
    f"op.execute('LOCK TABLE t1')\nop.execute({UNTIL_WAITED_FOR!r})\nop.execute('LOCK TABLE t2')\n"
    "op.create_table('t3', sa.Column('id', sa.Integer))",
)


def run_into_a_deadlock(magetui: Magetui, directory: Path, database: PostgresDatabase, *arguments: object) -> Outcome:
    """Return the outcome of a migrate that meets a deadlock once. The other session gives up its locks after that."""
    project = make_project(directory, (table(1), table(2, 1), LOCKS_BOTH), database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    with database.session("SET deadlock_timeout = '1h'; BEGIN; LOCK TABLE t2") as other:

        def lock() -> None:
            with suppress(psycopg2.Error), other.cursor() as cursor:
                cursor.execute("LOCK TABLE t1")
                other.rollback()

        waiting = threading.Thread(target=lock)
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--json", *arguments))
        live.hears("step 1 of 1")
        waiting.start()
        ended = live.end()
        waiting.join(timeout=20)
    return ended


def test_a_deadlock_is_named_and_leaves_the_database_as_it_was(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, state_dir: Path
) -> None:
    ended = run_into_a_deadlock(magetui, tmp_path / "project", pg_database)
    assert ended.status == 5, ended
    assert ended.json["outcome"] == "deadlock"
    assert ended.json["unchanged"] is True
    told = magetui("runs", "2").stdout
    assert (
        "Deadlock. The server ended the statement, because this run and another session waited for each other" in told
    )
    assert "The database is unchanged. Current revision: rev2." in told
    assert not named(journal(state_dir, 2), "attempt-failed")


def test_a_deadlock_is_tried_again_as_often_as_a_lock_timeout(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, state_dir: Path
) -> None:
    ended = run_into_a_deadlock(magetui, tmp_path / "project", pg_database, "--lock-retries", 3)
    assert ended.status == 0, ended
    [failed] = eventually(lambda: named(journal(state_dir, 2), "attempt-failed"), 5)
    assert failed["outcome"] == "deadlock"
    assert "attempt 1 of 4 ended in a deadlock; next attempt in" in ended.stderr
    assert pg_database.current == ["rev3"]
