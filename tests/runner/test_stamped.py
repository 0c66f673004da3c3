"""The current revision set by hand: an unknown one replaced exactly, and nothing done on a plan that has grown old."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from magetui.engine.runs import follow, start
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database
from tests.support.journals import journal, named
from tests.support.mage import HEAD, migrate_with_alembic
from tests.support.readings import make_plan

pytestmark = pytest.mark.slow

LOST = "256d6a12a927"  # Mage 0.2.10 had it, and its chain has it no more


@pytest.fixture
def mage(database: Database, mage_home: Path) -> tuple[object, ...]:
    """The flags for Mage's chain, whose database is at a current revision that it does not have."""
    migrate_with_alembic(database.url, mage_home)
    database.rows(f"UPDATE alembic_version SET version_num = '{LOST}'")
    return ("--mage-path", mage_home, "--url", database.url)


def test_unknown_current_revision_is_replaced_where_it_is_named_exactly(
    database: Database, magetui: Magetui, mage: tuple[object, ...], state_dir: Path
) -> None:
    found = magetui(*mage, "diagnose", "--json")
    assert found.status == 3
    assert found.json["findings"][0]["code"] == "unknown-revision"
    assert found.json["findings"][0]["facts"]["releases"] == "mage-ai 0.2.10"

    stamped = magetui(*mage, "stamp", "head", "--replace-unknown-revision", LOST, "--yes", "--json")
    assert stamped.status == 0, stamped
    assert stamped.json["current_before"] == [LOST]
    assert stamped.json["current_after"] == [HEAD] == database.current
    assert magetui(*mage, "diagnose").status == 0
    assert named(journal(state_dir), "run-ended")[0]["outcome"] == "done"


def test_unknown_current_revision_is_removed_by_stamping_base(
    database: Database, magetui: Magetui, mage: tuple[object, ...]
) -> None:
    stamped = magetui(*mage, "stamp", "base", "--replace-unknown-revision", LOST, "--yes")
    assert stamped.status == 0, stamped
    assert database.current == []


@pytest.mark.parametrize(
    "verb", [("migrate",), ("rollback", "--revision", "-1"), ("stamp", "head")], ids=lambda v: v[0]
)
def test_unknown_current_revision_refuses_every_other_change_and_says_the_way_out(
    database: Database, magetui: Magetui, mage: tuple[object, ...], verb: tuple[str, ...], state_dir: Path
) -> None:
    before = database.content
    refused = magetui(*mage, *verb, "--yes")
    assert refused.status == 4, refused
    assert f"The database is at revision {LOST}, which the chain does not have" in refused.stderr
    assert f"--replace-unknown-revision {LOST}" in refused.stderr
    assert database.content == before
    assert journal(state_dir) == []


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        pytest.param(
            ("head", "--replace-unknown-revision", "deadbeef"),
            4,
            f"The current revision is {LOST}, not deadbeef.",
            id="another",
        ),
        pytest.param(("head", "--replace-unknown-revision", HEAD), 2, f"The chain has revision {HEAD}", id="known"),
        pytest.param(
            ("0000", "--replace-unknown-revision", LOST),
            2,
            "There is no revision '0000'",
            id="no-such-target",
        ),
    ],
)
def test_swap_is_refused_where_it_does_not_fit(
    database: Database,
    magetui: Magetui,
    mage: tuple[object, ...],
    flags: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    before = database.content
    refused = magetui(*mage, "stamp", *flags, "--yes")
    assert refused.status == status, refused
    assert said in refused.stderr
    assert database.content == before


@pytest.mark.parametrize(
    ("verb", "revision", "replace", "planned", "moved"),
    [
        pytest.param("migrate", None, None, "rev1", "rev2", id="migrate"),
        pytest.param("rollback", "base", None, "rev2", "rev1", id="rollback"),
        pytest.param("stamp", "head", None, "rev1", "rev2", id="stamp"),
        pytest.param("stamp", "head", "unknown", "unknown", "stranger", id="swap"),
    ],
)
def test_current_revision_that_moved_since_the_plan_refuses_the_run(
    database: Database,
    magetui: Magetui,
    tmp_path: Path,
    state_dir: Path,
    verb: str,
    revision: str | None,
    replace: str | None,
    planned: str,
    moved: str,
) -> None:
    project = make_project(tmp_path / "project", linear(3), database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    database.rows(f"UPDATE alembic_version SET version_num = '{planned}'")
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    plan = make_plan(workspace, verb, revision, replace)  # type: ignore[arg-type]  # mypy sees a str
    database.rows(f"UPDATE alembic_version SET version_num = '{moved}'")
    before = database.content

    *_, last = follow.follow_run(os.environ, start.start_run(workspace, plan, start.Limits()))
    assert last.outcome == "refused"
    assert f"made for the current revision {planned}, and the database now says {moved}" in (last.error or "")
    assert last.current_after == (moved,)
    assert named(journal(state_dir, 2), "statement-started") == []
    assert database.content == before
