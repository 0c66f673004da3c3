"""An error that says nothing: its place is named, and what to change if that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

LOCKS_ITSELF = """\
from alembic import context
from sqlalchemy import engine_from_config, pool, text

section = context.config.get_section(context.config.config_ini_section, {})
engine = engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
with engine.connect() as connection:
    connection.execute(text("SELECT pg_advisory_lock(77)"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
"""


def test_env_py_that_opens_a_transaction_before_an_autocommit_block_is_told_what_to_change(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    adds = Revision("rev2", "rev1", "Alone", "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')")
    project = make_project(tmp_path / "project", (table(1), adds), pg_database.url)
    env = project.directory / "migrations" / "env.py"
    env.write_text(LOCKS_ITSELF)
    failed = magetui("--config", project.ini, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "AssertionError without a message" in failed.stdout
    assert "autocommit_block() needs a connection without an open transaction" in failed.stdout
    assert "connection.commit()" in failed.stdout
    [script] = project.versions.glob("rev2_*.py")
    lines = script.read_text().splitlines()
    line = 1 + next(number for number, text in enumerate(lines) if "autocommit_block" in text)
    assert f"At {script}, line {line}." in failed.stdout


def test_an_error_in_env_py_itself_is_placed_there(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(1),), sqlite_database.url)
    env = project.directory / "migrations" / "env.py"
    env.write_text(
        env.read_text().replace("        context.configure(connection=connection)\n", "        assert 1 == 2\n")
    )
    failed = magetui("--config", project.ini, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "AssertionError without a message: assert 1 == 2" in failed.stdout
    assert f"At {env}, line " in failed.stdout
