"""A schema that is damaged over several revisions is taken to a revision, and then is what a clean run makes.

What cannot be worked out is refused, with the reason, and nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase

pytestmark = pytest.mark.slow

CHAIN = (
    Revision(
        "rev1",
        None,
        "Books",
        'op.create_table("book", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.String(80)),'
        ' sa.Column("isbn", sa.String(20)))',
        'op.drop_table("book")',
    ),
    Revision(
        "rev2",
        "rev1",
        "Authors",
        'op.create_table("author", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(80)))\n'
        'op.create_index("ix_author_name", "author", ["name"])\n'
        'op.add_column("book", sa.Column("pages", sa.Integer))',
        'op.drop_column("book", "pages")\nop.drop_table("author")',
    ),
    Revision(
        "rev3",
        "rev2",
        "Shelves",
        'op.add_column("book", sa.Column("shelf", sa.Integer))\n'
        'op.create_index("ix_book_shelf", "book", ["shelf"])\n'
        'with op.batch_alter_table("author") as batch:\n'
        '    batch.alter_column("name", new_column_name="full_name", existing_type=sa.String(80))',
        'with op.batch_alter_table("author") as batch:\n'
        '    batch.alter_column("full_name", new_column_name="name", existing_type=sa.String(80))\n'
        'op.drop_index("ix_book_shelf", "book")\nop.drop_column("book", "shelf")',
    ),
    Revision(
        "rev4",
        "rev3",
        "Loans",
        'op.create_table("loan", sa.Column("id", sa.Integer, primary_key=True), sa.Column("book_id", sa.Integer),'
        ' sa.ForeignKeyConstraint(["book_id"], ["book.id"], name="loan_book"))\n'
        'with op.batch_alter_table("book") as batch:\n    batch.create_unique_constraint("by_isbn", ["isbn"])',
        'with op.batch_alter_table("book") as batch:\n    batch.drop_constraint("by_isbn", type_="unique")\n'
        'op.drop_table("loan")',
    ),
    Revision(
        "rev5",
        "rev4",
        "Longer titles",
        'with op.batch_alter_table("book") as batch:\n    batch.alter_column("title", type_=sa.String(200),'
        ' existing_type=sa.String(80))\n    batch.drop_column("pages")',
        'with op.batch_alter_table("book") as batch:\n    batch.alter_column("title", type_=sa.String(80),'
        ' existing_type=sa.String(200))\n    batch.add_column(sa.Column("pages", sa.Integer))',
    ),
)
LOAN = (
    "CREATE TABLE loan (id integer PRIMARY KEY, book_id integer, "
    "CONSTRAINT loan_book FOREIGN KEY (book_id) REFERENCES book (id))"
)
SHELF = "ALTER TABLE book ADD COLUMN shelf integer"
DROPPED = ("DROP TABLE loan", "DROP TABLE author", "DROP TABLE book")


@dataclass(frozen=True)
class Damage:
    """What somebody did to a database at the revision `at`, and the revision that it is repaired to."""

    at: str
    statements: tuple[str, ...]
    goal: str = "rev5"


def stamped(revision: str) -> str:
    return f"UPDATE alembic_version SET version_num = '{revision}'"


DAMAGES = {
    "a table of the second revision is gone": Damage("rev5", ("DROP TABLE author",)),
    "a table and an index of two revisions are gone": Damage("rev5", ("DROP TABLE loan", "DROP INDEX ix_book_shelf")),
    "everything is there and the version is three behind": Damage("rev5", (stamped("rev2"),)),
    "the version is ahead of the schema by three": Damage("rev2", (stamped("rev5"),)),
    "the version table is gone and a half was done by hand": Damage("rev3", ("DROP TABLE alembic_version", LOAN)),
    "the version is unknown and two revisions are missing": Damage("rev3", (stamped("squashed"),)),
    "only parts of three revisions are there": Damage(
        "rev1", ("CREATE TABLE author (id integer PRIMARY KEY, name varchar(80))", SHELF)
    ),
    "a column of an earlier revision is missing in a later schema": Damage(
        "rev5", ("DROP INDEX ix_book_shelf", "ALTER TABLE book DROP COLUMN shelf")
    ),
    "a newer release was there and the goal is older": Damage("rev5", (stamped("rev3"),), "rev3"),
    "parts of newer revisions are there and the goal is older": Damage("rev2", (SHELF, stamped("rev1")), "rev1"),
    "a column was not dropped and a title not longer": Damage("rev4", (stamped("rev5"),)),
    "nothing but the version table is there": Damage("rev5", DROPPED, "rev4"),
    "a half was made by hand": Damage("rev2", (SHELF, "CREATE INDEX ix_book_shelf ON book (shelf)")),
}


def schema(database: Database) -> list[str]:
    """The lines of pg_dump in order of their text: a column that is added later is the last one of its table."""
    lines = (line.rstrip(",") for line in database.content.splitlines())
    return sorted(line for line in lines if "restrict" not in line and not line.startswith("COPY"))


def migrate(magetui: Magetui, project: AlembicProject, revision: str) -> None:
    done = magetui("--config", project.ini, "migrate", "--revision", revision, "--yes")
    assert done.status == 0, done


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_schema_becomes_what_a_clean_run_makes(
    kind: str, magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    damage = DAMAGES[kind]
    project = make_project(tmp_path / "project", CHAIN, database.url)
    common = ("--config", project.ini)
    migrate(magetui, project, damage.goal)
    expected = schema(database) if database.dialect == "postgresql" else None
    assert magetui(*common, "rollback", "--revision", "base", "--yes").status == 0
    migrate(magetui, project, damage.at)
    for statement in damage.statements:
        serial = "serial" if database.dialect == "postgresql" else "integer"
        database.rows(statement.replace("(id integer", f"(id {serial}"))
    repaired = magetui(*common, "repair", "--revision", damage.goal, "--yes")
    assert repaired.status == 0, repaired
    assert f"The schema matches {damage.goal}." in repaired.stderr
    assert database.current == [damage.goal]
    assert expected is None or schema(database) == expected
    compared = magetui(*common, "verify", "--yes")
    assert compared.status == 0, compared
    again = magetui(*common, "repair", "--revision", damage.goal, "--yes")
    assert "nothing to do" in again.stdout, again


def test_the_plan_says_what_is_left_out_and_done(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "project", CHAIN, database.url)
    common = ("--config", project.ini)
    migrate(magetui, project, "rev2")
    database.rows(SHELF)
    before = database.content
    planned = magetui(*common, "plan", "repair", "--revision", "rev4")
    assert planned.status == 0, planned
    said = " ".join(planned.stdout.split())
    assert "repair: 4 operations of 2 revisions, the current revision rev2 becomes rev4" in said
    assert "Left out of rev3, as it is there or is replaced later: 1 operation." in said
    assert "creates index ix_book_shelf on book (shelf)" in said
    assert "CREATE TABLE loan" in planned.stdout
    assert database.content == before


ROWS = Revision("rev3", "rev2", "Rows", 'op.execute("UPDATE book SET pages = 1")')
READS = Revision(
    "rev3", "rev2", "Reads", 'if op.get_bind().execute(sa.text("SELECT 1 FROM book")).first():\n    op.drop_table("x")'
)
REFUSALS = {
    "rows that may have been changed": (ROWS, "No schema shows whether this part of rev3 was run"),
    "a script that reads rows": (READS, "What rev3 does is decided when it runs"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_be_worked_out_is_refused_with_the_reason(
    kind: str, magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    revision, reason = REFUSALS[kind]
    project = make_project(tmp_path / "project", (*CHAIN[:2], revision), database.url)
    migrate(magetui, project, "rev2")
    database.rows("DROP TABLE author")
    before = database.content
    refused = magetui("--config", project.ini, "repair", "--revision", "rev3", "--yes")
    assert refused.status == 4, refused
    assert reason in refused.stderr
    assert database.content == before


def test_changed_rows_are_run_or_left_out_as_the_operator_says(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = make_project(tmp_path / "project", (*CHAIN[:2], ROWS), database.url)
    migrate(magetui, project, "rev2")
    database.rows("INSERT INTO book (id) VALUES (1)")
    database.rows("DROP TABLE author")
    done = magetui("--config", project.ini, "repair", "--revision", "rev3", "--in-doubt", "run", "--yes")
    assert done.status == 0, done
    assert database.rows("SELECT pages FROM book") == [(1,)]
    assert database.current == ["rev3"]


def branch(name: str, after: str) -> Revision:
    create = f'op.create_table("{name}", sa.Column("id", sa.Integer, primary_key=True))'
    return Revision(name, after, f"Branch {name}", create, f'op.drop_table("{name}")')


def test_the_tables_and_the_current_revision_of_another_branch_stay(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    branches = (branch("left1", "rev1"), branch("left2", "left1"), branch("right1", "rev1"))
    project = make_project(tmp_path / "project", (CHAIN[0], *branches), database.url)
    migrate(magetui, project, "heads")
    database.rows("INSERT INTO right1 (id) VALUES (1)")
    database.rows("DROP TABLE left1")
    repaired = magetui("--config", project.ini, "repair", "--revision", "left2", "--yes")
    assert repaired.status == 0, repaired
    assert sorted(database.current) == ["left2", "right1"]
    assert database.rows("SELECT id FROM right1") == [(1,)]
    assert database.rows("SELECT id FROM left1") == []


def test_tables_of_a_branch_that_nobody_recorded_are_not_undone(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    branches = (branch("left1", "rev1"), branch("right1", "rev1"))
    project = make_project(tmp_path / "project", (CHAIN[0], *branches), database.url)
    migrate(magetui, project, "heads")
    database.rows("DELETE FROM alembic_version WHERE version_num = 'right1'")
    refused = magetui("--config", project.ini, "repair", "--revision", "left1", "--yes")
    assert refused.status == 4, refused
    assert "table right1 exists and should not" in refused.stderr


STATUS = Revision(
    "rev3",
    "rev2",
    "Another type",
    'with op.batch_alter_table("book") as batch:\n    batch.drop_column("pages")\n'
    'with op.batch_alter_table("book") as batch:\n'
    '    batch.add_column(sa.Column("pages", sa.String(20), nullable=False, server_default="new"))',
)


def test_a_column_that_lost_a_default_is_not_dropped_and_added_again(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", (*CHAIN[:2], STATUS), pg_database.url)
    migrate(magetui, project, "rev3")
    pg_database.rows("INSERT INTO book (id, pages) VALUES (1, 'many')")
    pg_database.rows("ALTER TABLE book ALTER COLUMN pages DROP NOT NULL")
    refused = magetui("--config", project.ini, "repair", "--yes")
    assert refused.status == 4, refused
    assert "cannot be worked out" in refused.stderr
    assert pg_database.rows("SELECT pages FROM book") == [("many",)]


def test_a_column_of_the_old_type_is_replaced(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "project", (*CHAIN[:2], STATUS), database.url)
    migrate(magetui, project, "rev2")
    done = magetui("--config", project.ini, "repair", "--revision", "rev3", "--yes")
    assert done.status == 0, done
    assert magetui("--config", project.ini, "verify", "--yes").status == 0


RENAMED = Revision(
    "rev3",
    "rev2",
    "Another name",
    'op.drop_index("ix_author_name", "author")\nop.create_index("ix_name_of_author", "author", ["name"])',
)


@pytest.mark.parametrize("goal", ["rev2", "rev3"])
def test_an_index_that_got_another_name_is_no_damage(
    goal: str, magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = make_project(tmp_path / "project", (*CHAIN[:2], RENAMED), database.url)
    migrate(magetui, project, goal)
    done = magetui("--config", project.ini, "repair", "--revision", goal, "--yes")
    assert done.status == 0, done
    assert "nothing to do" in done.stdout


def test_rows_of_an_applied_revision_are_not_changed_again_without_a_word(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    rows = Revision("rev3", "rev2", "Rows", f'op.create_index("ix_pages", "book", ["pages"])\n{ROWS.upgrade}')
    project = make_project(tmp_path / "project", (*CHAIN[:2], rows), database.url)
    migrate(magetui, project, "rev3")
    database.rows("DROP INDEX ix_pages")
    refused = magetui("--config", project.ini, "repair", "--yes")
    assert refused.status == 4, refused
    assert "No schema shows whether this part of rev3 was run" in refused.stderr


def test_an_unknown_or_older_current_revision_is_only_replaced_if_the_goal_is_named(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = make_project(tmp_path / "project", CHAIN, database.url)
    migrate(magetui, project, "rev5")
    for revision, reason in (("squashed", "which the chain does not have"), ("rev3", "says what to stamp")):
        database.rows(stamped(revision))
        refused = magetui("--config", project.ini, "repair", "--yes")
        assert refused.status == 4, refused
        assert reason in " ".join(refused.stderr.split())
