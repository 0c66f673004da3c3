"""The command line asks for the same consent as the screen, and holds it against the present state."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.terminal import Terminal

ROLES = Revision(
    "rev1",
    None,
    "Create role",
    'op.create_table("role", sa.Column("id", sa.Integer, primary_key=True), sa.Column("entity", sa.String(20)))\n'
    'op.create_index("ix_role_id", "role", ["id"])',
    'op.drop_table("role")',
)
INDEX = Revision("rev2", "rev1", "Index", 'op.create_index("ix", "role", ["entity"])', 'op.drop_index("ix")')
DROPS = Revision("rev3", "rev2", "Drop entity", 'op.drop_index("ix")\nop.drop_column("role", "entity")')

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "shop.db")


@pytest.fixture
def project(shop: SqliteDatabase, magetui: Magetui, tmp_path: Path) -> AlembicProject:
    project = make_project(tmp_path / "project", (ROLES, INDEX, DROPS), shop.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    shop.rows("INSERT INTO role (entity) VALUES (NULL)")
    return project


def asked(project: AlembicProject, *verb: str) -> Terminal:
    return Terminal(Magetui.command("--config", project.ini, *verb), (120, 30), {}, project.directory)


def test_a_rollback_that_loses_nothing_takes_a_yes(shop: SqliteDatabase, project: AlembicProject) -> None:
    with asked(project, "rollback", "--revision", "-1") as terminal:
        terminal.wait_for(r"^Do it\? \[y/N\]")
        terminal.press("y", "enter")
        assert terminal.wait_exit() == 0
    assert shop.current == ["rev1"]


def test_a_migration_that_loses_values_takes_the_name(shop: SqliteDatabase, project: AlembicProject) -> None:
    shop.rows("UPDATE role SET entity = 'pipeline'")
    for answer, status in (("y", 4), ("shop.db", 0)):
        with asked(project, "migrate") as terminal:
            terminal.wait_for(r"This destroys data\. To continue, type the database's name: shop\.db")
            terminal.press(answer, "enter")
            assert terminal.wait_exit() == status
    assert shop.current == ["rev3"]


def test_values_that_came_while_the_question_stood_there_need_another_question(
    shop: SqliteDatabase, project: AlembicProject
) -> None:
    with asked(project, "migrate") as terminal:
        terminal.wait_for(r"^Do it\? \[y/N\]")
        shop.rows("UPDATE role SET entity = 'pipeline'")
        terminal.press("y", "enter")
        assert terminal.wait_exit() == 4
        told = " ".join(terminal.screen().split())
        assert "The database has changed since this plan was made. Nothing was changed." in told
    assert shop.current == ["rev2"]
    assert shop.rows("SELECT entity FROM role") == [("pipeline",)]
