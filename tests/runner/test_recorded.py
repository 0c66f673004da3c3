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
from magetui.runner.barrier import Barrier
from magetui.runner.recorder import Recorder, record
from tests.support.alembic_project import Revision, make_project

INSPECTS = "90d978a8aef8"  # drops whatever unique constraints it finds on 'secret'


def of_chain(workspace: Workspace, dialect: str) -> dict[str, dict[str, recorded.Recorded]]:
    revisions = tuple(revision.revision for revision in workspace.chain.revisions)
    files = tuple(str(revision.path) for revision in workspace.chain.revisions)
    made = record(RecordRequest(workspace.project.scripts, dialect, revisions, files), Barrier())
    return {one.revision: {"upgrade": one.upgrade, "downgrade": one.downgrade} for one in made}


def of_script(tmp_path: Path, upgrade: str, dialect: str = "postgresql") -> recorded.Recorded:
    project = make_project(tmp_path / "project", [Revision("rev1", None, "One", upgrade)], "sqlite://")
    return of_chain(Workspace(Selection(config=str(project.ini), trust=True), {}), dialect)["rev1"]["upgrade"]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_mage_chain_is_recorded_in_both_directions_but_for_the_one_that_inspects(
    mage_home: Path, mage_importable: None, dialect: str
) -> None:
    workspace = Workspace(Selection(url="sqlite://", mage_path=str(mage_home)), {})
    made = of_chain(workspace, dialect)
    assert len(made) == 40
    unknown = {(r, d): one.undecidable for r, both in made.items() for d, one in both.items() if one.undecidable}
    assert unknown == {(INSPECTS, "upgrade"): "it reads the database: it inspects the live schema"}
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
    assert (recorded.RebuildTable("task", None, covers=1) in made) is rebuilds
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


def test_query_whose_answer_nobody_looks_at_does_not_end_the_record(tmp_path: Path) -> None:
    script = "op.execute('CREATE SEQUENCE n')\nop.get_bind().execute(sa.text(\"SELECT setval('n', 7)\"))\n"
    made = of_script(tmp_path, f'{script}op.drop_table("old")')
    assert made.undecidable is None
    assert made.operations[-1] == DropTable("old", None)


def test_operation_that_is_not_installed_is_unknown_and_the_rest_of_its_script_is_known(tmp_path: Path) -> None:
    script = 'op.sync_enum_values("public", "log_type", ["a"], new_values=["a", "b"])\nop.drop_table("old")'
    unknown, dropped = of_script(tmp_path, script).operations
    assert unknown == recorded.UnclearCall(
        frozenset({"public", "log_type", "a", "b", "new_values"}), False, "sync_enum_values"
    )
    assert dropped == DropTable("old", None)


CUSTOM = """
from alembic.operations import MigrateOperation, Operations

@Operations.register_operation("{name}")
class {kind}(MigrateOperation):
    def __init__(self, table):
        self.table = table

    @classmethod
    def {name}(cls, operations, table):
        return operations.invoke(cls(table))

@Operations.implementation_for({kind})
def _(operations, operation):
    {body}

op.{name}("t")
op.drop_table("old")
"""


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ('operations.drop_column(operation.table, "c")', recorded.DropColumn("t", None, "c")),
        ('operations.impl.execute("DROP VIEW v")', ExecuteSql("DROP VIEW v;")),
        (
            'operations.get_bind().execute(sa.text("SELECT 1")).scalar()',
            recorded.UnclearCall(frozenset({"t"}), False, "Three"),
        ),
    ],
)
def test_operation_of_an_extension_is_what_its_implementation_does(
    tmp_path: Path, body: str, made: recorded.Operation
) -> None:
    number = {"operations.d": "One", "operations.i": "Two", "operations.g": "Three"}[body[:12]]
    script = CUSTOM.format(name=f"do_{number.lower()}", kind=number, body=body)
    assert of_script(tmp_path, script).operations == (made, DropTable("old", None))


def test_value_that_is_no_plain_value_makes_its_operation_unknown_and_nothing_else(tmp_path: Path) -> None:
    script = 'op.drop_column("users", sa.Column("auth_state"))\nop.drop_table("old")'
    unknown, dropped = of_script(tmp_path, script).operations
    assert isinstance(unknown, recorded.UnclearCall)
    assert {"users", "auth_state"} <= unknown.words
    assert dropped == DropTable("old", None)


def test_check_that_comes_with_a_type_is_recorded_where_the_server_gets_it(tmp_path: Path) -> None:
    kind = 'sa.Enum("a", "b", name="kinds", native_enum=False, create_constraint=True)'
    script = (
        f'op.alter_column("t", "kind", type_=sa.Text, existing_type={kind})\nop.add_column("t", sa.Column("k", {kind}))'
    )
    dropped, altered, added, check = of_script(tmp_path, script).operations
    assert dropped == recorded.DropConstraint("t", None, "kinds", "check")
    assert isinstance(altered, AlterColumn)
    assert isinstance(added, AddColumn)
    assert isinstance(check, recorded.AddConstraint)
    assert (check.constraint, check.name) == ("check", "kinds")


def test_script_without_a_function_does_nothing() -> None:
    assert Recorder("sqlite").record(None) == recorded.Recorded(())
