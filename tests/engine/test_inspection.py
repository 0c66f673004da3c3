"""Revisions that look at the schema before they change it are readable like any other, and what reads rows is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from magetui.engine.evidence.evidence import record_chain
from magetui.engine.evidence.inspection import recorded_steps
from magetui.engine.plan import make_plan
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import Recorded
from magetui.text.operations import doing
from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

FIRST = """op.create_table(
    "item", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20), nullable=False),
    sa.UniqueConstraint("name"))
op.create_index("ix_item_name", "item", ["name"])"""
CHILD = """op.create_table("child", sa.Column("id", sa.Integer, primary_key=True), sa.Column("item_id", sa.Integer),
    sa.ForeignKeyConstraint(["item_id"], ["item.id"], name="child_item"))"""
COLUMN = """if "extra" not in [column["name"] for column in {inspector}.get_columns("item")]:
    op.add_column("item", sa.Column("extra", sa.Integer))"""
ADDED = "adds item.extra ("
INSPECTED = "sa.inspect(op.get_bind())"
ADDS = "op.add_column('item', sa.Column('extra2', sa.Integer))"
ADDED_2 = "adds item.extra2 ("
RAW = "op.execute('CREATE TABLE child (id int)')"
# A script, what it does after FIRST, and what it does if the live table has the column `extra` and the table `child`.
GUARDS: dict[str, tuple[str, str | None, str | None]] = {
    "a missing table": (f"if not {INSPECTED}.has_table('child'):\n    {CHILD}", "creates table child", None),
    "a table that is there": (f"if not {INSPECTED}.has_table('item'):\n    op.drop_table('x')", None, None),
    "a missing column": (COLUMN.format(inspector=INSPECTED), ADDED, None),
    "an old way to inspect": (
        COLUMN.format(inspector="sa.engine.reflection.Inspector.from_engine(op.get_bind())"),
        ADDED,
        None,
    ),
    "the dialect itself": (
        f"bind = op.get_bind()\nif not bind.dialect.has_table(bind, 'child'):\n    {RAW}",
        "create table child",
        None,
    ),
    "an engine": (
        f"if 'child' not in sa.inspect(op.get_bind().engine).get_table_names():\n    {RAW}",
        "create table child",
        None,
    ),
    "an index by name": (
        f"if 'ix_item_name' in {{index['name'] for index in {INSPECTED}.get_indexes('item')}}:\n"
        "    op.drop_index('ix_item_name', 'item')",
        "drops index ix_item_name",
        "drops index ix_item_name",
    ),
    "a unique constraint": (
        f"for unique in {INSPECTED}.get_unique_constraints('item'):\n"
        "    with op.batch_alter_table('item') as batch:\n"
        "        batch.drop_constraint(unique['name'] or 'unnamed', type_='unique')",
        "drops unique constraint",
        "drops unique constraint",
    ),
    "the type of a column": (
        f"kinds = {{c['name']: c['type'] for c in {INSPECTED}.get_columns('item')}}\n"
        f"if isinstance(kinds['name'], sa.String) and kinds['name'].length == 20:\n    {ADDS}",
        ADDED_2,
        ADDED_2,
    ),
    "the key": (
        f"if {INSPECTED}.get_pk_constraint('item')['constrained_columns'] == ['id']:\n    {ADDS}",
        ADDED_2,
        ADDED_2,
    ),
    "a table that is not there at all": (
        f"try:\n    {INSPECTED}.get_columns('nothing')\nexcept sa.exc.NoSuchTableError:\n    {ADDS}",
        ADDED_2,
        ADDED_2,
    ),
    "after its own operations": (
        f"{CHILD.replace('child', 'other')}\n"
        "op.execute('ALTER TABLE other ADD COLUMN late integer')\n"
        f"names = [column['name'] for column in {INSPECTED}.get_columns('other')]\n"
        "if 'late' in names:\n    op.drop_column('other', 'item_id')\n"
        f"if len({INSPECTED}.get_columns('other')) == 2:\n    op.drop_table('other')",
        "drops table other",
        "drops table other",
    ),
}
ROWS = {
    "rows": "if op.get_bind().execute(sa.text('SELECT 1 FROM item')).first():\n    op.drop_table('item')",
    "comments": "if sa.inspect(op.get_bind()).get_table_comment('item')['text']:\n    op.drop_table('item')",
    "an unknown fact": "if sa.inspect(op.get_bind()).get_indexes('item')[0]['comment']:\n    op.drop_table('item')",
}


def project_of(tmp_path: Path, database: Database, script: str) -> AlembicProject:
    revisions = [Revision("rev1", None, "One", FIRST), Revision("rev2", "rev1", "Two", script)]
    return make_project(tmp_path / "project", revisions, database.url)


def workspace_of(project: AlembicProject, database: Database) -> Workspace:
    return Workspace(Selection(config=str(project.ini), url=database.url, trust=True))


def done(recorded: Recorded) -> str:
    assert recorded.undecidable is None, recorded
    return "; ".join(map(doing, recorded.operations))


@pytest.mark.slow
@pytest.mark.parametrize("kind", GUARDS)
def test_a_guarded_revision_is_read_with_the_chain_and_with_the_live_schema(
    kind: str, tmp_path: Path, database: Database, magetui: Magetui
) -> None:
    script, in_chain, on_live = GUARDS[kind]
    project = project_of(tmp_path, database, script)
    made = done(record_chain(workspace_of(project, database))["rev2"].upgrade)
    assert (in_chain or "") in made.lower()
    assert bool(made) is (in_chain is not None), made

    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    if on_live is None:
        for statement in ("ALTER TABLE item ADD COLUMN extra integer", "CREATE TABLE child (id integer)"):
            database.rows(statement)
    workspace = workspace_of(project, database)
    with open_reading(workspace) as reading:
        [(_, _, recorded)] = recorded_steps(reading, make_plan(reading, "migrate", "head"))
    live = done(recorded)
    assert (on_live or "") in live.lower()
    assert bool(live) is (on_live is not None), live


@pytest.mark.parametrize("kind", ROWS)
def test_what_reads_rows_is_decided_when_it_runs(kind: str, tmp_path: Path, database: Database) -> None:
    workspace = workspace_of(project_of(tmp_path, database, ROWS[kind]), database)
    recorded = record_chain(workspace)["rev2"].upgrade
    assert (recorded.operations, recorded.inspects) == ((), False)
    assert recorded.undecidable is not None


def test_a_name_that_sqlite_does_not_report_is_not_known(
    tmp_path: Path, sqlite_database: SqliteDatabase, magetui: Magetui
) -> None:
    script = f"for unique in {INSPECTED}.get_unique_constraints('item'):\n    op.drop_column('item', unique['name'])"
    project = project_of(tmp_path, sqlite_database, script)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    sqlite_database.rows("DROP TABLE item")
    sqlite_database.rows("CREATE TABLE item (id integer, name text, CONSTRAINT by_name UNIQUE (name))")
    with open_reading(workspace_of(project, sqlite_database)) as reading:
        [(_, _, recorded)] = recorded_steps(reading, make_plan(reading, "migrate", "head"))
    assert recorded.undecidable == "it reads the database: it inspects the live schema: name"


def test_a_view_that_a_guard_asks_for_is_not_known(
    tmp_path: Path, pg_database: PostgresDatabase, magetui: Magetui
) -> None:
    script = "if sa.inspect(op.get_bind()).has_table('seen'):\n    op.drop_table('item')"
    project = project_of(tmp_path, pg_database, script)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    pg_database.rows("CREATE VIEW seen AS SELECT 1")
    with open_reading(workspace_of(project, pg_database)) as reading:
        [(_, _, recorded)] = recorded_steps(reading, make_plan(reading, "migrate", "head"))
    assert recorded.undecidable == "it reads the database: it inspects the live schema: whether there is a table seen"


def test_all_revisions_that_inspect_the_schema_are_asked_in_one_process(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process imports the application again, which takes seconds if it is a large one."""
    python, starts = tmp_path / "python", tmp_path / "starts"
    python.write_text(f'#!/bin/sh\necho start >> {starts}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    counted = []
    for number in (1, 6):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache{number}"))
        guards = [
            Revision(f"rev{n}", f"rev{n - 1}", "Guard", f"if not {INSPECTED}.has_table('t{n}'):\n    {RAW}")
            for n in range(2, 2 + number)
        ]
        revisions = [Revision("rev1", None, "One", FIRST), *guards]
        project = make_project(tmp_path / f"of{number}", revisions, sqlite_database.url)
        starts.unlink(missing_ok=True)
        planned = magetui("--config", project.ini, "--python", python, "plan", "migrate")
        assert planned.status == 0, planned
        assert f"{number + 1} steps" in planned.stdout
        counted.append(len(starts.read_text().splitlines()))
    assert counted[0] == counted[1]
