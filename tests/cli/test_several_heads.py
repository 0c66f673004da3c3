"""A chain with two heads: migrated to both at once, and told what Alembic itself says to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import make_project, two_heads
from tests.support.command import Magetui
from tests.support.databases import Database

pytestmark = pytest.mark.slow


def test_all_heads_are_migrated_to_at_once_and_back(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "project", two_heads(), database.url)
    ambiguous = magetui("--config", project.ini, "migrate", "--yes")
    assert ambiguous.status == 2, ambiguous
    assert "Name one, or migrate to 'heads': all of them." in ambiguous.stderr
    done = magetui("--config", project.ini, "migrate", "--revision", "heads", "--yes")
    assert done.status == 0, done
    assert database.current == ["rev2", "rev3"]
    again = magetui("--config", project.ini, "migrate", "--revision", "heads", "--yes")
    assert "nothing to do" in again.stdout
    found = magetui("--config", project.ini, "diagnose", "--json")
    assert found.status == 0, found
    [heads] = [finding for finding in found.json["findings"] if finding["code"] == "several-heads"]
    assert "'alembic upgrade head' fails while there are several" in heads["message"]
    assert "alembic merge heads" in heads["message"]
    assert magetui("--config", project.ini, "rollback", "--revision", "base", "--yes").status == 0
    stamped = magetui("--config", project.ini, "stamp", "heads", "--yes")
    assert stamped.status == 0, stamped
    assert database.current == ["rev2", "rev3"]
