"""Half of a revision that cannot be taken back, or that may be half of another: what is said, and what is done."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from magetui.engine.errors import RefusedError
from magetui.engine.repair.plan import RepairVerb
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.mage import SCRIPTS
from tests.support.postgres import PostgresServer
from tests.support.readings import add_evidence, diagnose, plan_repair
from tests.support.repairs import repair
from tests.support.steps import Schema, walking

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("mage_importable"),
    pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"]),
]

ADDS_VALUES, BEFORE_VALUES = "6aecc9bc451c", "7ac6fed06918"  # both commit by themselves: this is how it really happens
INSPECTS, BEFORE_INSPECTING = "90d978a8aef8", "dfe49d040487"
LIKE_IT = "e3593cc2191e"  # begins as that one does, and stands on it
ITEM = 'op.create_table("item", sa.Column("name", sa.String(9)), sa.UniqueConstraint("name", name="by_name"))'
UNIQUE_BY_BOTH = """op.add_column("item", sa.Column("n", sa.Integer))
op.create_unique_constraint("by_both", "item", ["name", "n"])"""
BACK = """op.drop_column("item", "n")
op.create_unique_constraint("by_name", "item", ["name"])"""
READS_ROWS = 'for _ in op.get_bind().execute(sa.text("SELECT 1 FROM item")):'


class Broken:
    """A database in which one revision was broken off, and what it was before and would be after it."""

    def __init__(self, server: PostgresServer, mage_home: Path, parent: str, revision: str, place: int) -> None:
        scripts = mage_home / SCRIPTS
        self.url = server.create_database()
        with walking(self.url, scripts, autocommit=True) as steps:
            steps.upgrade(parent)
            self.before = steps.schema()
        whole = server.create_database(template=self.url.rpartition("/")[2])
        with walking(whole, scripts, autocommit=True) as steps:
            steps.upgrade(revision)
            self.after = steps.schema()
        with walking(self.url, scripts, autocommit=True) as steps:
            assert steps.broken_off(revision, "upgrade", place)
        self._scripts = scripts
        self.workspace = Workspace(Selection(url=self.url, mage_path=str(mage_home)))

    @property
    def schema(self) -> Schema:
        with walking(self.url, self._scripts) as steps:
            return steps.schema()


def test_run_that_died_between_two_enum_values_is_told_and_finished(
    postgres: PostgresServer, mage_home: Path, magetui: Magetui
) -> None:
    broken = Broken(postgres, mage_home, BEFORE_VALUES, ADDS_VALUES, 1)
    first, *_ = add_evidence(broken.workspace, diagnose(broken.workspace)).findings
    assert (first.code, first.severity, first.next) == ("leftover-value", "critical", "finish")
    assert first.message == (
        f"Value 'API' of type scheduletype exists already, so revision {ADDS_VALUES} will fail: 'already exists'. A "
        "run of it stopped half-way, or a rollback left this behind. 'magetui finish' does its missing operations."
    )
    common = ("--mage-path", mage_home, "--url", broken.url)
    evidence = magetui(*common, "evidence")
    said = " ".join(evidence.stdout.split())
    left = "apart from leftovers of a rollback or of a run that stopped: value 'API' of type scheduletype"
    assert f"{left}. Revision {ADDS_VALUES}" in said
    assert f"The current revision is {BEFORE_VALUES}. The schema matches it, apart from the leftovers." in said
    with pytest.raises(RefusedError, match=r"PostgreSQL cannot remove a value from a type.*'magetui finish'"):
        plan_repair(broken.workspace, "undo")

    done = magetui(*common, "finish", "--yes")
    assert done.status == 0, done
    assert f"Done. Current revision: {ADDS_VALUES}." in done.stdout
    assert broken.schema == broken.after
    assert "leftover-value" not in magetui(*common, "diagnose").stdout


def test_value_that_a_later_revision_adds_is_told_before_it_fails_there(
    postgres: PostgresServer, mage_home: Path
) -> None:
    broken = Broken(postgres, mage_home, BEFORE_VALUES, ADDS_VALUES, 1)
    with walking(broken.url, mage_home / SCRIPTS) as steps:
        steps.downgrade("ec5df57a1c60")  # as a rollback does that goes further back than the value
    first, *_ = add_evidence(broken.workspace, diagnose(broken.workspace)).findings
    assert (first.code, first.next) == ("leftover-value", "evidence")
    assert first.message.endswith(
        f"Migrate to the revision before {ADDS_VALUES} first. Then 'magetui finish' does its missing operations."
    )


def test_half_of_a_revision_that_inspects_the_schema_is_repaired(postgres: PostgresServer, mage_home: Path) -> None:
    """The revision after it begins in the same way, but the current revision says which one was started."""
    broken = Broken(postgres, mage_home, BEFORE_INSPECTING, INSPECTS, 1)
    with pytest.raises(RefusedError, match="the script's downgrade does not make it again"):
        plan_repair(broken.workspace, "undo")
    assert repair(broken.workspace, "finish") == (INSPECTS,)
    assert broken.schema == broken.after


def test_what_may_be_half_of_the_revision_before_it_is_left_alone(
    tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    drops = 'op.drop_constraint("by_name", "item", type_="unique")'
    project = make_project(
        tmp_path / "project",
        [
            Revision("rev1", None, "One", ITEM),
            Revision("rev2", "rev1", "Reads rows", f"{READS_ROWS}\n    {drops}"),
            Revision("rev3", "rev2", "Begins as that one", f"{drops}\n{UNIQUE_BY_BOTH}", BACK),
        ],
        pg_database.url,
    )
    pg_database.rows("CREATE TABLE alembic_version (version_num varchar(32))")
    pg_database.rows("INSERT INTO alembic_version VALUES ('rev1')")
    pg_database.rows("CREATE TABLE item (name varchar(9))")  # without its constraint
    workspace = Workspace(Selection(config=str(project.ini), url=pg_database.url, trust=True))
    seen = pg_database.content
    [contradicts] = [
        one for one in add_evidence(workspace, diagnose(workspace)).findings if one.code == "evidence-contradicts"
    ]
    assert "Or revision rev2 was started: it asks the database what to do" in contradicts.message
    for verb in get_args(RepairVerb):
        with pytest.raises(RefusedError, match=r"rev2 may have been started instead.*run 'magetui stamp rev2' first"):
            plan_repair(workspace, verb)
    assert pg_database.content == seen


@pytest.mark.parametrize("place", [1, 2])
def test_where_the_current_revision_says_that_the_one_before_was_run_it_is_repaired(
    postgres: PostgresServer, mage_home: Path, place: int
) -> None:
    broken = Broken(postgres, mage_home, INSPECTS, LIKE_IT, place)
    assert repair(broken.workspace, "undo") == (INSPECTS,)
    assert broken.schema == broken.before
    with walking(broken.url, mage_home / SCRIPTS, autocommit=True) as steps:
        assert steps.broken_off(LIKE_IT, "upgrade", place)
    assert repair(broken.workspace, "finish") == (LIKE_IT,)
    assert broken.schema == broken.after
