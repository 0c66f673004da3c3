"""What the schema says where the chain is not one line, or not all that is in the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from magetui.engine.evidence.verdict import Evidence
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import Revision, linear, make_project, table, two_heads
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.readings import gather_evidence
from tests.support.steps import walking


def found_at(database: SqliteDatabase, folder: Path, chain: Sequence[Revision], *upgrades: str) -> Evidence:
    """The evidence after those upgrades, without the current revision."""
    project = make_project(folder / "project", chain, database.url)
    with walking(database.url, project.directory / "migrations") as steps:
        for revision in upgrades:
            steps.upgrade(revision)
        if upgrades:
            with steps.forgotten():
                return gather_evidence(Workspace(Selection(config=str(project.ini), trust=True)))
    return gather_evidence(Workspace(Selection(config=str(project.ini), trust=True)))


@pytest.mark.slow
@pytest.mark.parametrize("also", ["", "CREATE TABLE theirs (id INTEGER)"])
def test_database_with_none_of_the_chains_tables_is_before_its_first_revision(
    sqlite_database: SqliteDatabase, tmp_path: Path, also: str
) -> None:
    sqlite_database.rows(also or "VACUUM")
    evidence = found_at(sqlite_database, tmp_path, linear(3))
    assert (evidence.fits, evidence.candidate) == (((),), ())


@pytest.mark.slow
def test_tables_and_indexes_that_the_chain_never_heard_of_are_no_evidence(
    sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    sqlite_database.rows("CREATE TABLE theirs (id INTEGER)")
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    with walking(sqlite_database.url, project.directory / "migrations") as steps:
        steps.upgrade("rev2")
    sqlite_database.rows("CREATE INDEX by_hand ON t1 (name)")
    evidence = gather_evidence(Workspace(Selection(config=str(project.ini), trust=True)))
    assert evidence.fits == (("rev2",),)


@pytest.mark.slow
@pytest.mark.parametrize("current", [("rev1",), ("rev2",), ("rev3",), ("rev2", "rev3")])
def test_one_branch_or_both(sqlite_database: SqliteDatabase, tmp_path: Path, current: tuple[str, ...]) -> None:
    evidence = found_at(sqlite_database, tmp_path, two_heads(), *current)
    assert [set(one) for one in evidence.fits] == [set(current)]


@pytest.mark.slow
@pytest.mark.parametrize("upgrades", [("rev2", "rev3"), ("rev2", "rev5"), ("rev2", "rev3", "rev4")])
def test_branches_that_are_merged_again(
    sqlite_database: SqliteDatabase, tmp_path: Path, upgrades: tuple[str, ...]
) -> None:
    added = 'op.add_column("t2", sa.Column("extra", sa.Integer))'
    merge = Revision("rev4", ("rev2", "rev5"), "Merge", added, 'op.drop_column("t2", "extra")')
    chain = (*two_heads(), table(5, down=3), merge)
    evidence = found_at(sqlite_database, tmp_path, chain, *upgrades)
    wanted = {"rev4"} if "rev4" in upgrades else set(upgrades)
    assert [set(one) for one in evidence.fits] == [wanted]


@pytest.mark.slow
def test_table_that_stood_there_before_the_chain_tells_by_the_columns_it_was_given(
    sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    sqlite_database.rows("CREATE TABLE legacy (id INTEGER PRIMARY KEY, name TEXT)")
    added = 'op.add_column("legacy", sa.Column("extra", sa.Integer))'
    second = Revision("rev2", "rev1", "Extra", added, 'op.drop_column("legacy", "extra")')
    chain = (table(1), second, table(3, down=2))
    project = make_project(tmp_path / "project", chain, sqlite_database.url)
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    assert gather_evidence(workspace).fits == ((),)
    with walking(sqlite_database.url, project.directory / "migrations") as steps:
        for revision in ("rev1", "rev2", "rev3"):
            steps.upgrade(revision)
            assert gather_evidence(workspace).fits == ((revision,),)


@pytest.mark.slow
@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_table_that_somebody_holds_locked_is_no_evidence_against_its_defaults(
    pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    column = 'op.add_column("t1", sa.Column("at", sa.DateTime, server_default=sa.func.now()))'
    chain = (table(1), Revision("rev2", "rev1", "A default", column, 'op.drop_column("t1", "at")'))
    project = make_project(tmp_path / "project", chain, pg_database.url)
    with walking(pg_database.url, project.directory / "migrations") as steps:
        steps.upgrade("rev2")
    with pg_database.session("LOCK TABLE t1 IN ACCESS EXCLUSIVE MODE"):
        evidence = gather_evidence(Workspace(Selection(config=str(project.ini), trust=True)))
    assert evidence.fits == (("rev2",),), evidence.differences


@pytest.mark.slow
@pytest.mark.parametrize("sql", ["DROP TRIGGER IF EXISTS guard", "CREATE VIEW seen AS SELECT 1 AS id"])
def test_trigger_or_view_leaves_the_tables_as_known_as_they_were(
    sqlite_database: SqliteDatabase, tmp_path: Path, sql: str
) -> None:
    chain = (*linear(2), Revision("rev3", "rev2", "Beside the tables", f"op.execute({sql!r})"))
    assert found_at(sqlite_database, tmp_path, chain, "rev1").fits == (("rev1",),)


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_default_is_known_by_its_value_however_its_script_spells_it(
    pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    spelled = [("Boolean", "'0'"), ("Boolean", "'yes'"), ("BigInteger", "'0'"), ("Float", "'1.0'"), ("String", "'0'")]
    columns = ", ".join(
        f'sa.Column("c{number}", sa.{kind}, server_default={default})'
        for number, (kind, default) in enumerate([*spelled, ("DateTime", "'2020-01-01'"), ("JSON", "'{}'")])
    )
    chain = (table(1), Revision("rev2", "rev1", "Defaults", f'op.create_table("t2", {columns})'))
    project = make_project(tmp_path / "project", chain, pg_database.url)
    with walking(pg_database.url, project.directory / "migrations") as steps:
        steps.upgrade("rev2")
    evidence = gather_evidence(Workspace(Selection(config=str(project.ini), trust=True)))
    assert evidence.fits == (("rev2",),), evidence.differences


MADE_BY_SQL = {
    "postgresql": (
        "CREATE TABLE one (id bigserial PRIMARY KEY, a varchar(20) CONSTRAINT uq_a UNIQUE, b int CHECK (b > 0), "
        "c text COLLATE \"C\" DEFAULT 'x', d numeric(10, 2) NOT NULL, UNIQUE (a, b), CONSTRAINT ck CHECK (b < 9))",
        "CREATE TABLE IF NOT EXISTS two (id int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now(), "
        "one_id bigint REFERENCES one ON DELETE CASCADE, PRIMARY KEY (id), FOREIGN KEY (id) REFERENCES one (id))",
        "CREATE TABLE part (id int, at date NOT NULL) PARTITION BY RANGE (at)",
        "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "CREATE TABLE copied AS SELECT 1 AS id",
        "ALTER TABLE two ADD COLUMN three int UNIQUE, ADD COLUMN four int REFERENCES one (id)",
    ),
    "sqlite": (
        "CREATE TABLE one (id INTEGER PRIMARY KEY AUTOINCREMENT, a VARCHAR (20) CONSTRAINT uq_a UNIQUE, b BOOLEAN "
        "CHECK (b IN (0, 1)), c TEXT COLLATE NOCASE DEFAULT 'x', d DECIMAL(10, 2) NOT NULL, e DOUBLE PRECISION, "
        "UNIQUE (a, b))",
        "CREATE TABLE IF NOT EXISTS two (id INT, at DATETIME DEFAULT CURRENT_TIMESTAMP, one_id INTEGER REFERENCES one "
        "ON DELETE CASCADE, PRIMARY KEY (id), CHECK (id > 0))",
        "CREATE TABLE copied AS SELECT 1 AS id",
        "ALTER TABLE two ADD COLUMN four INTEGER REFERENCES one (id)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("database", [18, "sqlite"], indirect=True, ids=["pg18", "sqlite"])
def test_tables_made_by_sql_are_known_with_what_stands_behind_their_columns(database: Database, tmp_path: Path) -> None:
    steps = MADE_BY_SQL[database.dialect]
    chain = [table(1)]
    for number, sql in enumerate(steps, start=2):
        chain.append(Revision(f"rev{number}", f"rev{number - 1}", f"Step {number}", f'op.execute("""{sql}""")'))
    project = make_project(tmp_path / "project", chain, database.url)
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    with walking(database.url, project.directory / "migrations") as steps_of:
        for revision in chain:
            steps_of.upgrade(revision.id)
            evidence = gather_evidence(workspace)
            assert evidence.fits == ((revision.id,),), (revision.upgrade, evidence.nearest, evidence.differences)
    database.rows("ALTER TABLE one RENAME COLUMN d TO dd")
    assert gather_evidence(workspace).fits == ()
