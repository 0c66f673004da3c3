"""`finish` and `undo`: a revision that broke off half-way is brought to its end, or taken back, on real databases."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD, migrate_with_alembic

pytestmark = pytest.mark.slow

BEFORE_HALF, HALF = "117f8c3b9c42", "526c4523d5d5"
ON_BOTH = pytest.mark.parametrize("database", [18, "sqlite"], indirect=True, ids=["pg18", "sqlite"])

FIRST = Revision(
    "rev1",
    None,
    "Books",
    'op.create_table("book", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.Text))',
    'op.drop_table("book")',
)
COPIES = 'op.create_table("copy", sa.Column("id", sa.Integer, primary_key=True))'
READERS = 'op.create_table("reader", sa.Column("id", sa.Integer, primary_key=True))'


@pytest.fixture
def half(database: Database, mage_home: Path) -> Database:
    """Mage's database with two of a revision's seven operations done, and the current revision before it."""
    migrate_with_alembic(database.url, mage_home, BEFORE_HALF)
    database.rows("alter table permission add column entity_name varchar(255)")
    database.rows("alter table permission add column user_id integer")
    return database


@pytest.fixture
def shelves(database: Database, magetui: Magetui, tmp_path: Path) -> Shelves:
    return Shelves(database, magetui, tmp_path)


class Shelves:
    """A project of two revisions whose second broke off: what is there of it is done by hand."""

    def __init__(self, database: Database, magetui: Magetui, folder: Path) -> None:
        self.database = database
        self._magetui = magetui
        self._folder = folder
        self._project: AlembicProject | None = None

    def broken_off(self, upgrade: str, downgrade: str, *done: str) -> None:
        second = Revision("rev2", "rev1", "More", upgrade, downgrade)
        self._project = make_project(self._folder / "project", [FIRST, second], self.database.url)
        assert self("migrate", "--revision", "rev1", "--yes").status == 0
        for statement in done:
            self.database.rows(statement)

    def __call__(self, *arguments: object) -> Outcome:
        assert self._project is not None
        return self._magetui("--config", self._project.ini, *arguments)

    @property
    def tables(self) -> set[str]:
        if isinstance(self.database, PostgresDatabase):
            return {row[0] for row in self.database.rows("select tablename from pg_tables where schemaname = 'public'")}
        return {row[0] for row in self.database.rows("select name from sqlite_master where type = 'table'")}


def codes(outcome: Outcome) -> list[str]:
    return [finding["code"] for finding in outcome.json["findings"]]


@ON_BOTH
def test_what_is_missing_is_shown_then_done_and_the_way_to_the_head_is_free(
    magetui: Magetui, mage_home: Path, half: Database
) -> None:
    common = ("--mage-path", mage_home, "--url", half.url)
    before = half.content
    contradicted = magetui("diagnose", "--json", *common).json["findings"][0]
    assert (
        "To complete it, 'magetui finish' does the missing operations. To take it back, 'magetui undo' reverses the "
        "done ones." in contradicted["message"]
    )
    plan = magetui("plan", "finish", *common)
    assert plan.status == 0, plan
    assert f"finish the partially applied revision {HALF}: 5 operations" in plan.stdout
    assert "    adds permission.entity_type (VARCHAR(255), null)\n" in plan.stdout
    adds = "ADD COLUMN entity_type" if half.dialect == "postgresql" else "CREATE TABLE _alembic_tmp_permission"
    assert adds in plan.stdout
    assert f"INSERT INTO alembic_version (version_num) VALUES ('{HALF}');" in plan.stdout
    unasked = magetui("finish", *common)
    assert (unasked.status, unasked.stdout) == (4, "")
    assert half.content == before

    done = magetui("finish", "--yes", "--json", *common)
    assert (done.status, done.json["outcome"], done.json["current_after"]) == (0, "done", [HALF]), done
    assert codes(magetui("diagnose", "--json", *common)) == ["behind"]
    assert magetui("migrate", "--yes", *common).status == 0
    assert half.current == [HEAD]
    assert re.search(rf"finish +done .* {BEFORE_HALF} → {HALF} ", magetui("runs").stdout)


@ON_BOTH
def test_what_is_done_is_taken_back_and_the_schema_is_that_of_the_current_revision(
    magetui: Magetui, mage_home: Path, half: Database
) -> None:
    common = ("--mage-path", mage_home, "--url", half.url)
    plan = magetui("plan", "undo", *common)
    assert (
        f"undo the partially applied revision {HALF}: 2 operations, the current revision stays 117f8c3b9c42"
        in plan.stdout
    )
    assert "drops permission.user_id" in plan.stdout
    assert plan.status == 0, plan
    undone = magetui("undo", "--yes", *common)
    assert undone.status == 0, undone
    assert half.current == [BEFORE_HALF]
    assert codes(magetui("diagnose", "--json", *common)) == ["behind"]
    assert magetui("migrate", "--yes", *common).status == 0
    assert half.current == [HEAD]


@ON_BOTH
def test_where_nothing_is_half_there_is_nothing_to_finish_or_undo(shelves: Shelves) -> None:
    shelves.broken_off(COPIES, "pass")
    before = shelves.database.content
    for verb in ("finish", "undo"):
        refused = shelves(verb, "--yes")
        assert refused.status == 4
        assert (
            f"No revision is partially applied, so there is nothing to {verb}. The schema matches rev1 (Books)."
            in refused.stderr
        )
    assert shelves.database.content == before


@ON_BOTH
def test_what_no_schema_shows_is_for_the_operator_to_say(shelves: Shelves) -> None:
    said = "UPDATE book SET title = 'unknown'"
    shelves.broken_off(
        f'{COPIES}\nop.execute("{said}")\n{READERS}',
        'op.drop_table("reader")\nop.drop_table("copy")',
        "create table copy (id integer primary key)"
        if shelves.database.dialect == "sqlite"
        else "create table copy (id serial primary key)",
        "insert into book (id, title) values (1, 'Emma')",
    )
    before = shelves.database.content
    refused = shelves("finish", "--yes")
    assert refused.status == 4
    assert f"No schema shows whether this part of rev2 was run: {said}." in refused.stderr
    assert "--in-doubt run" in refused.stderr
    assert shelves.database.content == before
    undoing = shelves("plan", "undo").stdout
    assert f"! No schema shows whether this was run, and it is not undone: {said}" in undoing

    skipped = shelves("finish", "--in-doubt", "skip", "--yes")
    assert skipped.status == 0, skipped
    assert "! No schema shows whether this was run, and it is left out" in skipped.stderr
    assert shelves.database.rows("select title from book") == [("Emma",)]
    assert "reader" in shelves.tables
    assert shelves.database.current == ["rev2"]


@ON_BOTH
def test_what_is_in_doubt_is_run_where_the_operator_says_so(shelves: Shelves) -> None:
    key = "integer" if shelves.database.dialect == "sqlite" else "serial"
    shelves.broken_off(
        f"{COPIES}\nop.execute(\"UPDATE book SET title = 'a:b'\")\n{READERS}",
        "pass",
        f"create table copy (id {key} primary key)",
        "insert into book (id, title) values (1, 'Emma')",
    )
    assert shelves("finish", "--in-doubt", "run", "--yes").status == 0
    assert shelves.database.rows("select title from book") == [("a:b",)]


@ON_BOTH
def test_what_was_dropped_comes_back_empty_as_the_downgrade_makes_it(shelves: Shelves) -> None:
    shelves.broken_off(
        f'op.drop_column("book", "title")\n{READERS}',
        'op.drop_table("reader")\nop.add_column("book", sa.Column("title", sa.Text))',
        "alter table book drop column title",
    )
    plan = shelves("plan", "undo")
    assert "The column book.title comes back without the values that it had." in " ".join(plan.stdout.split())
    assert shelves("undo", "--yes").status == 0
    assert shelves.database.rows("select title from book") == []
    assert codes(shelves("diagnose", "--json")) == ["behind"]


@ON_BOTH
def test_there_is_no_way_back_to_what_no_script_makes_again(shelves: Shelves) -> None:
    shelves.broken_off(
        f'op.drop_column("book", "title")\n{READERS}', 'op.drop_table("reader")', "alter table book drop column title"
    )
    before = shelves.database.content
    refused = shelves("undo", "--yes")
    assert refused.status == 4
    assert (
        "rev2 cannot be undone automatically: the column book.title was dropped, and the script's downgrade does not "
        "make it again. Nothing was changed."
    ) in refused.stderr
    assert shelves.database.content == before
    assert shelves("finish", "--yes").status == 0


@ON_BOTH
def test_finishing_that_fails_leaves_the_half_as_it_was(shelves: Shelves) -> None:
    key = "integer" if shelves.database.dialect == "sqlite" else "serial"
    shelves.broken_off(
        f'{COPIES}\n{READERS}\nop.add_column("book", sa.Column("shelf", sa.Integer, nullable=False))',
        "pass",
        f"create table copy (id {key} primary key)",
        "insert into book (id) values (1)",
    )
    before = shelves.database.content
    failed = shelves("finish", "--yes")
    assert failed.status == 1, failed
    assert "The database is unchanged. Current revision: rev1." in failed.stdout
    assert shelves.database.content == before


@pytest.mark.parametrize("database", [18], indirect=True, ids=["pg18"])
def test_finishing_waits_for_a_lock_names_who_has_it_and_gives_up(shelves: Shelves) -> None:
    assert isinstance(shelves.database, PostgresDatabase)
    shelves.broken_off(
        f'{COPIES}\nop.add_column("book", sa.Column("shelf", sa.Integer))',
        "pass",
        "create table copy (id serial primary key)",
    )
    with shelves.database.session("select * from book"):
        given_up = shelves("finish", "--yes", "--lock-timeout-seconds", "4")
    assert given_up.status == 5, given_up
    assert "WAITING for access exclusive on book" in given_up.stderr
    assert "select * from book" in given_up.stderr
    assert shelves("finish", "--yes").status == 0


def test_rows_that_are_left_in_the_copy_of_a_table_that_is_gone_are_not_dropped(
    sqlite_database: SqliteDatabase, magetui: Magetui, tmp_path: Path
) -> None:
    shelves = Shelves(sqlite_database, magetui, tmp_path)
    rebuild = (
        'with op.batch_alter_table("book") as book:\n'
        '    book.add_column(sa.Column("shelf", sa.Integer, server_default="0"))\n'
        '    book.alter_column("title", nullable=False)'
    )
    shelves.broken_off(
        f"{COPIES}\n{rebuild}",
        "pass",
        "create table copy (id integer primary key)",
        "insert into book (id, title) values (1, 'Emma')",
        "alter table book rename to _alembic_tmp_book",
    )
    finding = shelves("diagnose", "--json").json["findings"][0]
    assert (finding["code"], finding["severity"]) == ("leftover-table", "critical")
    assert "'magetui clean' renames it back" in finding["message"]
    assert "renames table _alembic_tmp_book to book" in shelves("plan", "undo").stdout
    assert shelves("finish", "--yes").status == 0
    assert sqlite_database.rows("select title, shelf from book") == [("Emma", 0)]
    assert codes(shelves("diagnose", "--json")) == ["up-to-date"]
