"""What revisions do, read off them with nothing executed: Mage's whole chain, and scripts that ask the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model import operations as recorded
from magetui.model.operations import AddColumn, AlterColumn, Autocommit, CreateIndex, CreateTable, DropTable, ExecuteSql
from magetui.model.schema import Column, ForeignKey, Index
from magetui.protocol.requests import RecordRequest
from magetui.runner.recorder import Recorder, record
from tests.support.alembic_project import Revision, make_project

INSPECTS = "90d978a8aef8"  # drops whatever unique constraints it finds on 'secret'


def of_chain(workspace: Workspace, dialect: str) -> dict[str, dict[str, recorded.Recorded]]:
    revisions = tuple(revision.revision for revision in workspace.chain.revisions)
    files = tuple(str(revision.path) for revision in workspace.chain.revisions)
    made = record(RecordRequest(workspace.project.scripts, dialect, revisions, files))
    return {one.revision: {"upgrade": one.upgrade, "downgrade": one.downgrade} for one in made}


def of_script(tmp_path: Path, upgrade: str, dialect: str = "postgresql") -> recorded.Recorded:
    project = make_project(tmp_path / "project", [Revision("rev1", None, "One", upgrade)], "sqlite://")
    return of_chain(Workspace(Selection(config=str(project.ini)), {}), dialect)["rev1"]["upgrade"]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_mage_chain_is_recorded_in_both_directions_but_for_the_one_that_inspects(
    mage_home: Path, mage_importable: None, dialect: str
) -> None:
    workspace = Workspace(Selection(url="sqlite://", mage_path=str(mage_home)), {})
    made = of_chain(workspace, dialect)
    assert len(made) == 40
    unknown = {(r, d): one.undecidable for r, both in made.items() for d, one in both.items() if one.undecidable}
    assert unknown == {(INSPECTS, "upgrade"): "it reads the database: it inspects what is there"}
    assert not [one for both in made.values() for way in both.values() for one in way.operations if one.kind == "other"]

    up, down = made["39d36f1dab73"]["upgrade"].operations, made["39d36f1dab73"]["downgrade"].operations
    [table] = [one for one in up if isinstance(one, CreateTable)]
    assert (table.table, table.primary_key) == ("generic_job", ("id",))
    assert Column("repo_path", "VARCHAR(255)", nullable=True) in table.columns
    index = Index("ix_generic_job_status", ("status",))
    assert CreateIndex("generic_job", None, index) in up
    assert DropTable("generic_job", None) in down
    types = [one for one in up if isinstance(one, recorded.CreateType)]
    assert [one.name for one in types] == (["jobtype", "jobstatus"] if dialect == "postgresql" else [])


def test_enum_value_added_outside_the_transaction_is_recorded_as_such(mage_home: Path, mage_importable: None) -> None:
    workspace = Workspace(Selection(url="sqlite://", mage_path=str(mage_home)), {})
    assert of_chain(workspace, "postgresql")["847ea6602d6f"]["upgrade"].operations == (
        Autocommit(begins=True),
        ExecuteSql("ALTER TYPE blockrunstatus ADD VALUE 'UPSTREAM_FAILED'"),
        Autocommit(begins=False),
    )


def test_column_whose_values_the_server_makes_is_recorded_as_such(tmp_path: Path) -> None:
    made = of_script(
        tmp_path,
        'op.add_column("item", sa.Column("number", sa.Integer, sa.Identity(always=True)))\n'
        'op.add_column("item", sa.Column("twice", sa.Integer, sa.Computed("n * 2", persisted=True)))\n'
        'op.create_table("other", sa.Column("id", sa.BigInteger, primary_key=True))',
    )
    number, twice, other = made.operations
    assert isinstance(number, AddColumn)
    assert isinstance(twice, AddColumn)
    assert isinstance(other, CreateTable)
    assert number.column.default == "generated always as identity"
    assert twice.column.default == "generated always as (n * 2) stored"
    assert other.columns[0].type == "BIGSERIAL"


def test_column_brings_its_index_and_its_foreign_key(tmp_path: Path) -> None:
    column = 'sa.Column("owner", sa.Integer, sa.ForeignKey("user.id", ondelete="CASCADE"), index=True, nullable=False)'
    key = ForeignKey(None, ("owner",), None, "user", ("id",), "CASCADE")
    assert of_script(tmp_path, f'op.add_column("task", {column})').operations == (
        AddColumn("task", None, Column("owner", "INTEGER", nullable=False)),
        recorded.AddConstraint("task", None, "foreign", None, foreign_key=key),
        CreateIndex("task", None, Index("ix_task_owner", ("owner",))),
    )


def test_altered_column_says_what_changes_and_nothing_else(tmp_path: Path) -> None:
    script = 'op.alter_column("task", "name", type_=sa.Text, server_default=None, postgresql_using="name::text")'
    [altered] = of_script(tmp_path, script).operations
    assert altered == AlterColumn("task", None, "name", type="TEXT", using="name::text", drops_default=True)


@pytest.mark.parametrize(("dialect", "rebuilds"), [("sqlite", True), ("postgresql", False)])
def test_batch_operation_rebuilds_the_table_on_sqlite_alone(tmp_path: Path, dialect: str, rebuilds: bool) -> None:
    script = 'with op.batch_alter_table("task") as batch:\n    batch.drop_column("name")'
    made = of_script(tmp_path, script, dialect).operations
    assert (recorded.RebuildTable("task", None) in made) is rebuilds
    assert made[-1] == recorded.DropColumn("task", None, "name")


@pytest.mark.parametrize(
    "question",
    [
        'op.get_bind().execute(sa.text("SELECT count(*) FROM task")).scalar()',
        "sa.inspect(op.get_bind()).get_table_names()",
    ],
)
def test_script_that_asks_the_database_ends_the_record_even_if_it_catches_every_exception(
    tmp_path: Path, question: str
) -> None:
    script = f'op.drop_table("old")\ntry:\n    {question}\nexcept Exception:\n    op.drop_table("all")'
    made = of_script(tmp_path, script)
    assert made.operations == (DropTable("old", None),)
    assert made.undecidable is not None
    assert made.undecidable.startswith("it reads the database")


def test_what_is_written_through_the_connection_is_recorded(tmp_path: Path) -> None:
    made = of_script(tmp_path, "op.get_bind().execute(sa.text(\"UPDATE task SET name = 'x'\"))")
    assert made == recorded.Recorded((ExecuteSql("UPDATE task SET name = 'x'"),))


def test_script_without_a_function_does_nothing() -> None:
    assert Recorder("sqlite").record(None) == recorded.Recorded(())
