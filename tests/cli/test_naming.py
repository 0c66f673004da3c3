"""A project whose metadata names its constraints by a convention, as Alembic's documentation recommends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase

pytestmark = pytest.mark.slow

CONVENTION = """
from sqlalchemy import MetaData

CONVENTION = MetaData(naming_convention={
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
})
"""
LONG = "a_column_whose_name_is_so_long_that_nobody_would_type_it_twice"  # its index's name is too long by far
REVISIONS = (
    Revision(
        "e1",
        None,
        "Accounts",
        "op.create_table('acc', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Integer),\n"
        f"    sa.Column('{LONG}', sa.Integer, index=True), sa.CheckConstraint('n > 0', name='positive'))",
        "op.drop_table('acc')",
    ),
    Revision(
        "e2",
        "e1",
        "A unique column",
        "op.drop_constraint('positive', 'acc', type_='check')\n"
        "with op.get_context().autocommit_block():\n"
        "    op.add_column('acc', sa.Column('x', sa.Integer))\n"
        "    op.create_unique_constraint(None, 'acc', ['x'])",
        "op.drop_constraint('uq_acc_x', 'acc')\nop.drop_column('acc', 'x')\n"
        "op.create_check_constraint('positive', 'acc', 'n > 0')",
    ),
)


@pytest.fixture
def project(tmp_path: Path, pg_database: PostgresDatabase) -> AlembicProject:
    made = make_project(tmp_path / "project", REVISIONS, pg_database.url)
    env = made.directory / "migrations" / "env.py"
    configured = env.read_text().replace("context.configure(", "context.configure(target_metadata=CONVENTION, ")
    env.write_text(configured.replace("\ndef write_sql", f"{CONVENTION}\n\ndef write_sql"))
    return made


def test_a_healthy_database_is_not_said_to_differ(magetui: Magetui, project: AlembicProject) -> None:
    for revision in ("e1", "e2"):
        done = magetui("--config", project.ini, "migrate", "--revision", revision, "--yes")
        assert done.status == 0, done
        found = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
        assert [one["code"] for one in found] == (["behind"] if revision == "e1" else ["up-to-date"]), found
        verified = magetui("--config", project.ini, "verify", "--yes")
        assert verified.status == 0, verified


def test_what_is_finished_and_what_is_printed_has_the_names_of_a_clean_run(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase
) -> None:
    assert magetui("--config", project.ini, "migrate", "--revision", "e1", "--yes").status == 0
    assert "ADD CONSTRAINT uq_acc_x UNIQUE (x)" in magetui("--config", project.ini, "plan", "migrate").stdout
    pg_database.rows("alter table acc drop constraint ck_acc_positive")
    pg_database.rows("alter table acc add column x integer")
    finished = magetui("--config", project.ini, "finish", "--yes")
    assert finished.status == 0, finished
    assert pg_database.rows("select conname from pg_constraint where conrelid = 'acc'::regclass and contype = 'u'") == [
        ("uq_acc_x",)
    ]
    back = magetui("--config", project.ini, "rollback", "--revision", "-1", "--yes")
    assert back.status == 0, back
    assert magetui("--config", project.ini, "verify", "--yes").status == 0
