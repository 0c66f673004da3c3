"""A migration that fails half-way, as the operator who consented to it sees it: what failed, where, and what is left.

The command line's telling of the same is in tests/runner/test_failing.py; here it has to be on the screen, within
24 lines, with no scrolling.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import failing_in_the_middle, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase
from tests.support.terminal import Terminal
from tests.tui.conftest import OpenScreen, consent

pytestmark = pytest.mark.slow


def unwrapped(terminal: Terminal) -> str:
    """The screen without any space, so that a path that is broken over lines is found in it."""
    return "".join(terminal.screen().split())


@pytest.mark.parametrize("database", [18, "sqlite"], indirect=True, ids=["pg18", "sqlite"])
def test_a_migration_that_fails_half_way_names_its_line_and_leaves_all_as_it_was(
    database: Database, magetui: Magetui, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    revisions = failing_in_the_middle()
    project = make_project(tmp_path / "project", revisions, database.url)
    done = magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes")
    assert done.status == 0, done
    database.rows("INSERT INTO t1 (id, name) VALUES (1, 'one')")
    before = database.content

    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 2")
    terminal.press("m")
    terminal.wait_for("migrate from rev1 to rev3: 2 steps")
    terminal.wait_for("fails +at rev2: there is no table no_such_table")  # the operator runs it all the same
    consent(terminal, database.name if isinstance(database, PostgresDatabase) else "data.db")
    terminal.wait_for("^ *FAILED")
    terminal.wait_for(r"The\s+database\s+is\s+unchanged\.\s+Current\s+revision:\s+rev1\.")

    script = project.versions / revisions[1].file_name
    line = next(n for n, text in enumerate(script.read_text().splitlines(), 1) if "no_such_table" in text)
    told = unwrapped(terminal)
    assert f"At{script},line{line}." in told
    assert "Error:" in told
    assert "no_such_table" in told.partition("Error:")[2].partition(f"At{script}")[0]
    terminal.wait_for("✗ rev2  Create t2 and fail")
    terminal.wait_for("○ rev3  Create t3")
    assert database.content == before
    assert database.current == ["rev1"]

    terminal.wait_for("^ next  e  compare the schema   p  plan again$")
    terminal.wait_for("^e Evidence  p Plan again  esc Close  .*Help$")
    for key in ("K", "C", "f", "U", "x", "D"):  # which mean something elsewhere
        terminal.press(key)
    terminal.wait_quiet()
    terminal.wait_for("^ *FAILED")
    terminal.press("e")
    terminal.wait_for("rev1 .*= match")
    terminal.press("escape")
    terminal.wait_for("p Plan again")
    terminal.press("p")
    terminal.wait_for("migrate from rev1 to rev3: 2 steps")
    terminal.press("escape")
    terminal.wait_for("p Plan again")
    terminal.press("w")
    lines = terminal.wait_for("Report written to").splitlines()
    at = next(n for n, line in enumerate(lines) if "Report written to" in line)
    assert at > 14, "at the bottom: it covers neither the wait nor how the run ended"

    terminal.press("escape")
    terminal.wait_for("BEHIND BY 2")
    terminal.press("4")
    terminal.wait_for(r"migrate +run 2: failed, stayed rev1")
    terminal.press("u")
    terminal.wait_for(r"2 .*migrate +failed .*current revision stayed rev1 \(wanted rev3\)")
    terminal.wait_for(r"1 .*migrate +done .*nothing → rev1")
    listed = magetui("runs").stdout
    assert "failed" in listed and "current revision stayed rev1 (wanted rev3)" in listed
    assert "rev1 → rev3" not in listed
    assert magetui("runs", "2", "--json").json["unchanged"] is True
