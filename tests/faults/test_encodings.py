"""Databases, names, values and streams that are not UTF-8: every verb reads them, and prints what can be printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.postgres import HOST, PASSWORD, USER, PostgresServer

pytestmark = pytest.mark.slow

NAMES = {"LATIN1": "größe", "KOI8R": "дом", "SQL_ASCII": "größe", "UTF8": "größe-дом-家"}
PYTHONS = {"LATIN1": "latin-1", "KOI8R": "koi8-r", "SQL_ASCII": "utf-8", "UTF8": "utf-8"}
VERBS = (
    ("diagnose",),
    ("plan", "migrate"),
    ("plan", "rollback", "--revision", "base"),
    ("evidence",),
    ("history",),
    ("schema",),
    ("locks",),
)


@pytest.fixture(params=NAMES)
def encoded(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[tuple[PostgresDatabase, str]]:
    """A database in an encoding, at the first revision of a chain whose table has a name in that encoding."""
    encoding, name = request.param, NAMES[request.param]
    database = f"in_{encoding.lower()}"
    postgres.execute("postgres", f"create database {database} template template0 encoding '{encoding}' locale 'C'")
    run(
        postgres,
        database,
        f"create table \"{name}\" (id integer primary key, note text default '{name}')".encode(PYTHONS[encoding]),
        f"insert into \"{name}\" values (1, '{name}')".encode(PYTHONS[encoding]),
        b"create table alembic_version (version_num varchar(32) not null primary key)",
        b"insert into alembic_version values ('base1')",
    )
    yield PostgresDatabase(postgres, database), name
    postgres.drop_database(database)


def run(server: PostgresServer, database: str, *statements: bytes) -> None:
    """Run statements whose bytes the server takes as they are."""
    with closing(
        psycopg2.connect(host=HOST, port=server.port, user=USER, password=PASSWORD, dbname=database)
    ) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def project_of(folder: Path, name: str, url: str) -> AlembicProject:
    chain = (
        Revision(
            "base1",
            None,
            "First",
            f'op.create_table("{name}", sa.Column("id", sa.Integer, primary_key=True),\n'
            f'                sa.Column("note", sa.Text, server_default="{name}"))',
            f'op.drop_table("{name}")',
        ),
        Revision("more2", "base1", "More", f'op.add_column("{name}", sa.Column("more", sa.Integer))'),
    )
    return make_project(folder / "project", chain, url)


def test_a_database_in_any_encoding_is_read_by_every_verb(
    magetui: Magetui, encoded: tuple[PostgresDatabase, str], tmp_path: Path
) -> None:
    database, name = encoded
    project = project_of(tmp_path, name, database.url)
    for verb in (*VERBS, ("schema", name)):
        done = magetui("--config", project.ini, *verb)
        assert done.status in (0, 3), (verb, done)
        assert "Traceback" not in done.stderr
        assert name in done.stdout or verb[0] in ("diagnose", "history", "locks", "evidence"), (verb, done)
    found = magetui("--config", project.ini, "diagnose", "--json").json
    assert [finding["code"] for finding in found["findings"]] == ["behind"], "the schema fits the revision"
    done = magetui("--config", project.ini, "migrate", "--yes")
    if database.name == "in_sql_ascii":
        # The connection is env.py's, and psycopg2 sends nothing but ASCII to such a database: Alembic fails alone, too.
        assert "'ascii' codec can't encode" in done.stdout + done.stderr, done
        assert database.current == ["base1"]
    else:
        assert done.status == 0, done


def test_names_and_values_that_are_no_valid_text_are_read_and_printed_as_escapes(
    magetui: Magetui, postgres: PostgresServer, tmp_path: Path
) -> None:
    postgres.execute("postgres", "create database not_text template template0 encoding 'SQL_ASCII' locale 'C'")
    try:
        run(
            postgres,
            "not_text",
            b"create table \"gr\xf6\xdfe\" (id integer, note text default '\xff')",
            b"insert into \"gr\xf6\xdfe\" values (1, '\xfe')",
        )
        project = project_of(tmp_path, "t1", postgres.url("not_text"))
        for verb in VERBS:
            done = magetui("--config", project.ini, *verb)
            assert "Traceback" not in done.stderr, (verb, done)
            assert done.status in (0, 3, 4), (verb, done)
        assert "gr\\xf6\\xdfe" in magetui("--config", project.ini, "schema").stdout
        document = magetui("--config", project.ini, "schema", "--json")
        assert any("gr" in table["name"] for table in document.json["tables"])
    finally:
        postgres.drop_database("not_text")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_output_in_an_old_encoding_has_escapes_where_it_lacks_a_character(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, encoding: str
) -> None:
    pg_database.rows('create table "größe-家" (id integer)')
    project = project_of(tmp_path, "größe-家", pg_database.url)
    for verb in (*VERBS, ("schema", "größe-家"), ("config",), ("runs",), ("--help",)):
        done = magetui("--config", project.ini, *verb, env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
        assert "Traceback" not in done.stderr, (verb, done)
        assert done.status in (0, 3, 4), (verb, done)
