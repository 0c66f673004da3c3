"""A command that reads opens one connection, counted in the log of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.postgres import PostgresServer

RECEIVED, AUTHORIZED = "connection received", "connection authorized"
CHAIN = (
    Revision(
        "rev1",
        None,
        "Task",
        'op.create_table("task", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))',
        'op.drop_table("task")',
    ),
    Revision(
        "rev2",
        "rev1",
        "Columns",
        'op.add_column("task", sa.Column("x", sa.Integer))\nop.add_column("task", sa.Column("y", sa.Integer))',
        'op.drop_column("task", "y")\nop.drop_column("task", "x")',
    ),
)
AT_REV1 = (
    "create table task (id serial primary key, name text)",
    "insert into task (name) values ('a'), ('b')",
    "create table alembic_version (version_num varchar(32) primary key)",
    "insert into alembic_version values ('rev1')",
)
PARTIALLY_APPLIED = "alter table task add column x integer"


@pytest.fixture(scope="module")
def logging_server() -> Iterator[PostgresServer]:
    """A server that writes each connection into its log."""
    with PostgresServer(18, {"log_connections": "on"}) as server:
        yield server


@pytest.fixture
def database(logging_server: PostgresServer) -> PostgresDatabase:
    name = logging_server.create_database().rpartition("/")[2]
    made = PostgresDatabase(logging_server, name)
    for statement in AT_REV1:
        made.rows(statement)
    return made


@pytest.fixture
def project(database: PostgresDatabase, tmp_path: Path) -> AlembicProject:
    return make_project(tmp_path / "project", CHAIN, database.url)


def opened(server: PostgresServer, before: int) -> tuple[int, int]:
    """How many connections the server has received and authorized since its log was `before` characters long."""
    log = server.log[before:]
    return log.count(RECEIVED), log.count(AUTHORIZED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "is_partial", "status"),
    [
        (("plan", "migrate"), False, 0),
        (("plan", "rollback", "--revision", "-1"), False, 0),
        (("plan", "stamp", "head"), False, 0),
        (("plan", "finish"), True, 0),
        (("plan", "undo"), True, 0),
        (("diagnose",), False, 3),
        (("diagnose",), True, 3),
        (("evidence",), True, 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_command_that_reads_opens_one_connection(
    magetui: Magetui,
    logging_server: PostgresServer,
    database: PostgresDatabase,
    project: AlembicProject,
    command: tuple[str, ...],
    is_partial: bool,
    status: int,
) -> None:
    if is_partial:
        database.rows(PARTIALLY_APPLIED)
    before = len(logging_server.log)
    done = magetui(*command, "--config", project.ini, "--json")
    assert done.status == status, done
    assert opened(logging_server, before) == (1, 1), logging_server.log[before:]
