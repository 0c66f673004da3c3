"""A run that failed says what the error means, which rows it is about, and what helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase

pytestmark = pytest.mark.slow


def failed(magetui: Magetui, directory: Path, database: Database, upgrade: str) -> str:
    """Return what a failed migrate says whose second revision has this upgrade. Two rows of t1 have the same name."""
    project = make_project(directory, (table(1), Revision("rev2", "rev1", "Second", upgrade)), database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    database.rows("INSERT INTO t1 (id, name) VALUES (1, 'same'), (2, 'same')")
    outcome = magetui("--config", project.ini, "migrate", "--yes")
    assert outcome.status == 1, outcome
    assert "The database is unchanged. Current revision: rev1." in outcome.stdout
    return outcome.stdout


@pytest.mark.parametrize(
    ("upgrade", "said"),
    [
        ("op.create_index('ux', 't1', ['name'], unique=True)", "a unique index or constraint allows them once."),
        ("op.execute('INSERT INTO t1 (id) VALUES (3)')", "Some rows have no value in a column that may not be null."),
        (
            "op.create_table('t1', sa.Column('id', sa.Integer))",
            "'magetui evidence' shows how much of the revision exists",
        ),
        (
            "op.add_column('t1', sa.Column('name', sa.Integer))",
            "'magetui evidence' shows how much of the revision exists",
        ),
        ("op.drop_table('absent')", "The script expects something that does not exist."),
    ],
)
def test_the_kind_of_the_error_is_explained(
    magetui: Magetui, tmp_path: Path, database: Database, upgrade: str, said: str
) -> None:
    assert said in failed(magetui, tmp_path / "project", database, upgrade)


def test_the_query_that_shows_the_duplicates_is_named_and_shows_them(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    said = failed(magetui, tmp_path / "project", database, "op.create_index('ux', 't1', ['name'], unique=True)")
    query = said.partition("They are: ")[2].partition(";")[0]
    assert query.startswith("SELECT name, count(*) FROM ")
    assert database.rows(query) == [("same", 2)]


@pytest.mark.parametrize(
    ("upgrade", "said"),
    [
        ("op.add_column('t1', sa.Column('x', sa.Integer, nullable=False))", "give it a server_default"),
        (
            "op.add_column('t1', sa.Column('x', sa.Integer))\nop.alter_column('t1', 'x', nullable=False)",
            "Some rows have no value in a column that may not be null. They are: SELECT * FROM t1 WHERE x IS NULL;",
        ),
        ("op.alter_column('t1', 'name', type_=sa.String(2))", "Some values are too long for the type of their column."),
        ("op.alter_column('t1', 'name', type_=sa.Integer)", "Some values cannot be converted to the new type"),
        (
            "op.execute('CREATE VIEW v AS SELECT name FROM t1')\nop.drop_column('t1', 'name')",
            "Other objects depend on it",
        ),
        (
            "op.execute('CREATE VIEW v AS SELECT name FROM t1')\nop.alter_column('t1', 'name', type_=sa.String(99))",
            "Other objects depend on it",
        ),
        ("op.create_foreign_key('fk', 't1', 't1', ['id'], ['name'])", "Error: "),
    ],
)
def test_what_postgresql_alone_refuses_is_explained_too(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, upgrade: str, said: str
) -> None:
    assert said in failed(magetui, tmp_path / "project", pg_database, upgrade).replace("public.t1", "t1")
