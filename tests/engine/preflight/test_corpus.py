"""The preflight is right about every revision of the corpus: what it says is compared with what the database does."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.util import load_python_file

from magetui.engine.evidence.recording import record_revisions
from magetui.engine.preview.preflight.answers import Preflight
from magetui.engine.preview.preflight.preflight import preflight
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.engine.preflight.corpus import ON_POSTGRESQL, POSTGRESQL, ROWS
from tests.engine.preflight.corpus_sqlite import ON_SQLITE, SQLITE
from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase

# They pass, and nobody can know it: they write rows, look at the database, or are not described completely.
UNKNOWN = frozenset(
    {
        "a column, filled and required",
        "a comment",
        "a computed column",
        "raw: a column with a check",
        "raw: a table of a query",
        "raw: a view",
        "raw: an extension",
        "raw: rows",
        "a table and its view",
        "an index on an expression",
        "raw: a column that exists, if not",
        "nulls replaced, then required",
        "duplicates deleted, then unique",
        "a guarded revision",
    }
)


def chain(folder: Path, database: Database, corpus: Mapping[str, str]) -> tuple[AlembicProject, dict[str, str]]:
    """Return a project in which each revision of the corpus follows the first one, and the ids by name."""
    ids = {name: f"r{number:03}" for number, name in enumerate(corpus)}
    revisions = [Revision(ids[name], "start", "Case", upgrade) for name, upgrade in corpus.items()]
    return make_project(folder, (Revision("start", None, "Start", "pass"), *revisions), database.url), ids


def answers(project: AlembicProject, ids: Mapping[str, str]) -> dict[str, Preflight]:
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    recordings = record_revisions(workspace, ids.values())
    with open_reading(workspace) as reading:
        found = {
            name: preflight(reading, [(revision, "upgrade", recordings[revision].upgrade)], 60_000)
            for name, revision in ids.items()
        }
    return {name: answer for name, answer in found.items() if answer is not None}


def run(connection: sa.Connection, script: Path) -> str | None:
    """Run the upgrade of a script, and return the error that ended it."""
    module = load_python_file(str(script.parent), script.name)
    try:
        with Operations.context(MigrationContext.configure(connection)):
            module.upgrade()
    except Exception as error:  # noqa: BLE001 - whatever a revision of the corpus raises
        return str(error).partition("\n")[0]
    return None


def on_postgresql(database: PostgresDatabase, script: Path) -> str | None:
    url = sa.make_url(database.url).set(drivername="postgresql+psycopg2")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection, connection.begin() as transaction:
        error = run(connection, script)
        transaction.rollback()
    return error


def on_sqlite(database: SqliteDatabase, script: Path) -> str | None:
    copy = database.path.with_name("copy.db")
    shutil.copy(database.path, copy)
    engine = sa.create_engine(f"sqlite:///{copy}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        error = run(connection, script)
        connection.commit()
        if error is None:
            try:
                error = "orphans" if connection.exec_driver_sql("pragma foreign_key_check").all() else None
            except sa.exc.OperationalError as mismatch:
                error = str(mismatch.orig)
    return error


def wrong(found: Mapping[str, Preflight], errors: Mapping[str, str | None]) -> Iterator[str]:
    """Yield a line for each answer that the database contradicts."""
    for name, answer in found.items():
        error = errors[name]
        causes = "; ".join(f"{cause.sentence} ({cause.says})" for step in answer.steps for cause in step.causes)
        if answer.answer == "fails" and error is None:
            yield f"{name}: passes, but the preflight says: {causes}"
        elif answer.answer == "passes" and error is not None:
            yield f"{name}: fails, but the preflight says that it passes: {error}"


def judge(found: Mapping[str, Preflight], errors: Mapping[str, str | None]) -> None:
    """Assert that no answer is wrong, that most failures are foreseen, and that each one has its cause."""
    assert "\n".join(wrong(found, errors)) == ""
    failing = [name for name, error in errors.items() if error]
    unseen = [f"{name}: {errors[name]}" for name in failing if found[name].answer != "fails"]
    assert len(failing) >= 50
    assert len(unseen) <= len(failing) * 0.05, unseen
    unsure = [name for name, error in errors.items() if error is None and found[name].answer != "passes"]
    assert UNKNOWN.issuperset(unsure), unsure


@pytest.mark.slow
@pytest.mark.every_version
def test_postgresql_does_what_the_preflight_says(pg_database: PostgresDatabase, tmp_path: Path) -> None:
    pg_database.rows(POSTGRESQL + ROWS)
    project, ids = chain(tmp_path / "project", pg_database, ON_POSTGRESQL)
    before = pg_database.content
    found = answers(project, ids)
    assert pg_database.content == before
    scripts = {name: next(project.directory.rglob(f"{revision}_*.py")) for name, revision in ids.items()}
    judge(found, {name: on_postgresql(pg_database, script) for name, script in scripts.items()})


@pytest.mark.slow
def test_sqlite_does_what_the_preflight_says(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.executescript(SQLITE + ROWS)
    project, ids = chain(tmp_path / "project", sqlite_database, ON_SQLITE)
    found = answers(project, ids)
    scripts = {name: next(project.directory.rglob(f"{revision}_*.py")) for name, revision in ids.items()}
    judge(found, {name: on_sqlite(sqlite_database, script) for name, script in scripts.items()})
