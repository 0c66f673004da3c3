"""The configuration comes to name another database between a plan and its consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.tui.conftest import ASKED, OpenScreen

pytestmark = pytest.mark.slow


def test_what_was_consented_to_for_one_database_is_not_done_to_another(
    magetui: Magetui, open_terminal: OpenScreen, tmp_path: Path
) -> None:
    staging, production = SqliteDatabase(tmp_path / "staging.db"), SqliteDatabase(tmp_path / "production.db")
    project = make_project(tmp_path / "project", linear(2), staging.url)
    for database in (staging, production):
        told = magetui("--config", project.ini, "--url", database.url, "migrate", "--revision", "rev1", "--yes")
        assert told.status == 0, told
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 1")
    terminal.press("m")
    terminal.wait_for(ASKED)
    project.ini.write_text(project.ini.read_text().replace("staging.db", "production.db"))
    terminal.press("enter")
    terminal.wait_for(rf"This was planned for another database\. The plan is now for\s.*{ASKED}")
    assert "production.db" in terminal.screen().replace("\n ", "")
    assert (staging.current, production.current) == (["rev1"], ["rev1"])
