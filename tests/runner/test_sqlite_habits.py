"""SQLite's own ways inside a migration: foreign keys that stay on, a second connection, a lock file left behind."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from magetui.backends.sqlite.backend import SQLite
from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase

FAMILY = Revision(
    id="rev1",
    down=None,
    message="Create parent and child",
    upgrade=(
        'op.create_table("parent", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50)))\n'
        'op.create_table("child", sa.Column("id", sa.Integer, primary_key=True),\n'
        '    sa.Column("parent_id", sa.Integer, sa.ForeignKey("parent.id", ondelete="CASCADE")))'
    ),
)
REBUILT = Revision(
    id="rev2",
    down="rev1",
    message="Rebuild parent",
    upgrade=(
        'op.execute("PRAGMA foreign_keys=OFF")\n'
        'with op.batch_alter_table("parent", recreate="always") as batch:\n'
        '    batch.alter_column("name", type_=sa.String(80))\n'
        'op.execute("PRAGMA foreign_keys=ON")'
    ),
)
LISTENER = """
from sqlalchemy import event
from sqlalchemy.engine import Engine

@event.listens_for(Engine, "connect")
def _enforce(raw, _record):
    raw.execute("PRAGMA foreign_keys=ON")
"""


@pytest.fixture
def family(tmp_path: Path, sqlite_database: SqliteDatabase) -> AlembicProject:
    """A project that enforces foreign keys on every connection, and has a table rebuilt that others refer to."""
    project = make_project(tmp_path / "project", (FAMILY, REBUILT), sqlite_database.url)
    env = project.directory / "migrations" / "env.py"
    env.write_text(env.read_text().replace("\n\n\ndef write_sql", f"\n{LISTENER}\n\ndef write_sql", 1))
    assert "_enforce" in env.read_text()
    return project


def test_rebuilt_parent_keeps_its_children_where_the_script_turns_foreign_keys_off(
    magetui: Magetui, family: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    assert magetui("--config", family.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.executescript("insert into parent values (1, 'one'); insert into child values (1, 1), (2, 1);")
    done = magetui("--config", family.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert sqlite_database.rows("select * from child order by id") == [(1, 1), (2, 1)]
    assert sqlite_database.rows("select * from parent") == [(1, "one")]
    assert sqlite_database.current == ["rev2"]


def test_foreign_keys_that_cannot_be_turned_off_any_more_are_refused_before_rows_are_lost(
    magetui: Magetui, family: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.executescript("create table notes (text); insert into notes values ('kept')")
    before = sqlite_database.content
    # Its operations are in a file that the text of the script does not show.
    helper = family.directory / "rebuild.py"
    helper.write_text(REBUILT.upgrade)
    family.add(replace(REBUILT, upgrade=f"import runpy\nrunpy.run_path({str(helper)!r}, {{'op': op, 'sa': sa}})"))
    failed = magetui("--config", family.ini, "migrate", "--yes")  # both revisions in one transaction
    assert failed.status == 1, failed
    assert (
        "SQLite ignores PRAGMA foreign_keys in the middle of a transaction, and rows could be lost. Migrate to the "
        "revision before this one first, then continue from there."
    ) in " ".join(failed.stdout.split())
    assert sqlite_database.content == before


QUIETLY_REBUILT = Revision(
    id="rev2",
    down="rev1",
    message="Rebuild parent",
    upgrade=(
        'with op.batch_alter_table("parent") as batch:\n'
        '    batch.alter_column("name", type_=sa.String(80), nullable=False)'
    ),
)
DELETES = "op.execute('DELETE FROM parent WHERE id = 1')"


@pytest.fixture
def enforced(family: AlembicProject, sqlite_database: SqliteDatabase, magetui: Magetui) -> AlembicProject:
    """A project with a parent and three children whose env.py turns foreign keys on; its rev2 is not written yet."""
    (family.versions / REBUILT.file_name).unlink()
    assert magetui("--config", family.ini, "migrate", "--yes").status == 0
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.executescript(
            "insert into parent values (1, 'one'); insert into child values (1, 1), (2, 1), (3, 1);"
        )
    return family


def test_a_batch_operation_keeps_the_rows_that_refer_to_the_table_although_env_py_enforces_foreign_keys(
    magetui: Magetui, enforced: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    enforced.add(QUIETLY_REBUILT)
    done = magetui("--config", enforced.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert sqlite_database.rows("select id from child order by id") == [(1,), (2,), (3,)]


def test_a_script_that_leaves_rows_without_their_parent_is_stopped_before_the_commit(
    magetui: Magetui, enforced: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    enforced.add(Revision("rev2", "rev1", "Rebuild and delete", f"{QUIETLY_REBUILT.upgrade}\n{DELETES}"))
    failed = magetui("--config", enforced.ini, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "3 rows of child would refer to rows of parent that are gone" in failed.stdout
    assert "The database is unchanged. Current revision: rev1." in failed.stdout
    assert sqlite_database.rows("select id from child order by id") == [(1,), (2,), (3,)]


def test_a_script_that_only_deletes_rows_takes_the_rows_that_refer_to_them_as_foreign_keys_say(
    magetui: Magetui, enforced: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    enforced.add(Revision("rev2", "rev1", "Delete", DELETES))
    done = magetui("--config", enforced.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert sqlite_database.rows("select id from child") == []


def test_script_that_opens_a_second_connection_reads_past_our_own_lock(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    second = Revision(
        id="rev2",
        down="rev1",
        message="Read on another connection",
        upgrade=(
            f'with sa.create_engine("{sqlite_database.url}").connect() as other:\n'
            '    assert other.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == "rev1"\n'
            'op.create_table("t2", sa.Column("id", sa.Integer))'
        ),
    )
    project = make_project(tmp_path / "project", (*linear(1), second), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    done = magetui("--config", project.ini, "migrate", "--yes", "--lock-timeout-seconds", 2)
    assert done.status == 0, done
    assert sqlite_database.current == ["rev2"]


@pytest.mark.parametrize(("ending", "rows"), [("COMMIT", [(1,)]), ("ROLLBACK", [])])
def test_script_that_begins_a_transaction_of_its_own_runs_as_it_does_with_alembic(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, ending: str, rows: list[tuple[int]]
) -> None:
    own = Revision(
        id="rev2",
        down="rev1",
        message="Begin a transaction",
        upgrade=(
            'op.execute("BEGIN TRANSACTION")\n'
            "op.execute(\"INSERT INTO t1 (id, name) VALUES (1, 'one')\")\n"
            f'op.execute("{ending}")\n'
            'op.create_table("t2", sa.Column("id", sa.Integer))'
        ),
    )
    project = make_project(tmp_path / "project", (*linear(1), own), sqlite_database.url)
    done = magetui("--config", project.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert sqlite_database.rows("select id from t1") == rows
    assert sqlite_database.current == ["rev2"]


def test_what_a_script_commits_itself_is_undone_if_its_revision_fails(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    own = Revision(
        id="rev2",
        down="rev1",
        message="Commit, then fail",
        upgrade=(
            'op.execute("BEGIN")\nop.execute("CREATE TABLE t2 (id INTEGER)")\nop.execute("COMMIT")\n'
            'op.execute("INSERT INTO nowhere VALUES (1)")'
        ),
    )
    project = make_project(tmp_path / "project", (*linear(1), own), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    before = sqlite_database.content
    assert magetui("--config", project.ini, "migrate", "--yes").status == 1
    assert sqlite_database.content == before


@pytest.mark.parametrize("text", ["", '{"pid": 47', "[1]"])
def test_lock_file_that_was_cut_short_still_says_that_somebody_migrates(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, text: str
) -> None:
    project = make_project(tmp_path / "project", linear(1), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    with Path(f"{sqlite_database.path}.magetui-lock").open("w") as held:
        held.write(text)
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        found = magetui("--config", project.ini, "diagnose")
    said = " ".join(found.stdout.split())
    assert "Somebody is migrating this database now: somebody. A run would wait for it, up to its lock timeout." in said


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o644])
def test_lock_file_is_open_to_those_who_may_use_the_database(sqlite_database: SqliteDatabase, mode: int) -> None:
    sqlite_database.path.touch()
    sqlite_database.path.chmod(mode)
    mutex = SQLite().mutex(make_url(sqlite_database.url), 1, "tests", "migrate")
    assert mutex.try_acquire()
    lock = Path(f"{sqlite_database.path}.magetui-lock").stat()
    mutex.release()
    assert lock.st_mode & 0o777 == mode
    assert lock.st_gid == sqlite_database.path.stat().st_gid
