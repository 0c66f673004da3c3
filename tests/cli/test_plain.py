"""The plain mode: an operator with a screen reader, or on a slow line, recovers a database by questions and answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, make_project
from tests.support.databases import SqliteDatabase
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow
REVISIONS = (
    Revision("rev1", None, "Create t1", 'op.create_table("t1", sa.Column("id", sa.Integer))'),
    Revision("rev2", "rev1", "Create t2", 'op.create_table("t2", sa.Column("id", sa.Integer))'),
)
ASKED = r"What next\?.*magetui> *$"


def test_a_database_is_migrated_and_stamped_by_questions_and_answers(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "shop.db")
    project = make_project(tmp_path / "project", REVISIONS, database.url)
    command = [sys.executable, "-m", "magetui", "--plain", "--config", str(project.ini)]
    with Terminal(command, (80, 60), {"XDG_STATE_HOME": str(tmp_path / "state")}, tmp_path) as terminal:
        terminal.wait_for(rf"empty-database.*{ASKED}")
        terminal.press(*"m", "enter")
        terminal.wait_for(r"\[y/N\]")
        terminal.press(*"y", "enter")
        terminal.wait_for(rf"up-to-date.*{ASKED}", 30)
        assert database.current == ["rev2"]
        terminal.press(*"migarte", "enter")
        terminal.wait_for(rf"There is no such verb.*{ASKED}")
        terminal.press(*"s", "enter")
        terminal.wait_for("the revision to write: an id, head or base:")
        terminal.press(*"rev1", "enter")
        terminal.wait_for("To continue, type the database's name")
        terminal.press(*"no", "enter")
        terminal.wait_for(rf"Not confirmed. Nothing was changed.*{ASKED}", 30)
        assert database.current == ["rev2"]
        terminal.press(*"?", "enter")
        terminal.wait_for(rf"^m *migrate .*{ASKED}")
        other = SqliteDatabase(tmp_path / "other.db")
        terminal.press(*f"migrate --url {other.url} --revision rev1 --yes", "enter")
        terminal.wait_for(rf"Done.*{ASKED}", 30)
        assert (other.current, database.current) == (["rev1"], ["rev2"]), "what is typed counts, not what came before"
        terminal.press(*"q", "enter")
        assert terminal.wait_exit() == 0
