"""A URL or a server that cannot be used ends in a sentence with its cause, and never with the password."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from psycopg2 import sql

from tests.support.alembic_project import AlembicProject
from tests.support.command import Magetui
from tests.support.complaints import MIGRATE, ROLLBACK, SECRET, STAMP, cannot_connect
from tests.support.complaints import output as told
from tests.support.databases import PostgresDatabase
from tests.support.postgres import PASSWORD, PostgresServer

# -- the URL


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "The URL from --url cannot be understood: 'nonsense'."),
        (f"postgresql//mage:{SECRET}@db1/x", "cannot be understood: 'postgresql//mage:***@db1/x'."),
        (
            f"postgresql://mage:{SECRET}@db1:port/x",
            "cannot be understood: 'postgresql://mage:***@db1:port/x'.",
        ),
        (f"postgres://mage:{SECRET}@db1/x", "starts with postgres://; SQLAlchemy wants postgresql://."),
        (f"foo://mage:{SECRET}@db1/x", "There is no database kind or driver 'foo'."),
        (f"mysql://mage:{SECRET}@db1/x", "magetui does not know the database kind 'mysql'."),
    ],
)
def test_url_that_cannot_be(magetui: Magetui, project: AlembicProject, url: str, sentence: str) -> None:
    cannot_connect(magetui, project.ini, url, "bad-url", sentence, "Give a URL such as postgresql://user:password@")


def test_the_pending_revisions_of_a_database_that_is_not_reached_are_unknown(
    magetui: Magetui, project: AlembicProject
) -> None:
    found = magetui("--config", project.ini, "--url", f"postgresql://mage@127.0.0.1:{closed_port()}/x", "diagnose")
    assert re.search(r"^current +unknown$", found.stdout, re.MULTILINE), found
    assert re.search(r"^pending +unknown$", found.stdout, re.MULTILINE), found


@pytest.mark.parametrize(
    "query",
    [
        f"password={SECRET}",
        f"sslpassword={SECRET}&sslmode=nonsense",
        f"application_name=x&PASSWORD={SECRET}",
    ],
)
def test_credentials_in_a_query_are_not_repeated(magetui: Magetui, project: AlembicProject, query: str) -> None:
    url = f"postgresql://mage@127.0.0.1:{closed_port()}/x?{query}"
    for verb in (("diagnose",), ("diagnose", "--json"), MIGRATE):
        outcome = magetui("--config", project.ini, "--url", url, *verb)
        assert outcome.status in (1, 3), outcome
        assert "postgresql://mage@127.0.0.1" in told(outcome)


@pytest.mark.parametrize(
    "keywords",
    [
        f"DRIVER={{ODBC Driver 18 for SQL Server}};SERVER=db1;DATABASE=x;UID=mage;PWD={SECRET};ENCRYPT=yes;",
        f"DRIVER={{ODBC Driver 18 for SQL Server}};SERVER=db1;UID=mage;PWD={{a;{SECRET}}}}}b}}",
        f"DRIVER%3D%7BODBC+Driver+18%7D%3BSERVER%3Ddb1%3BUID%3Dmage%3BPWD%3D{SECRET}%3BENCRYPT%3Dyes",
    ],
)
def test_credentials_in_odbc_connect_are_not_repeated(magetui: Magetui, project: AlembicProject, keywords: str) -> None:
    url = f"mssql+pyodbc://?odbc_connect={keywords}"
    for verb in (("diagnose",), ("diagnose", "--json"), MIGRATE):
        outcome = magetui("--config", project.ini, "--url", url, *verb)
        assert outcome.status in (1, 3), outcome
        told(outcome)


@pytest.mark.parametrize(
    "arguments",
    [
        ("diagnose", f"postgresql://mage:{SECRET}@db1/x"),
        ("diagnose", f"--password={SECRET}"),
        ("diagnose", "--password", SECRET),
        (f"postgresql://mage:a {SECRET}@db1/x",),
        ("migrate", "--lock-timeout-seconds", f"postgresql://mage:{SECRET}@db1/x"),
    ],
)
def test_credentials_in_the_wrong_place_are_not_repeated(magetui: Magetui, arguments: tuple[str, ...]) -> None:
    outcome = magetui(*arguments)
    assert outcome.status == 2, outcome
    assert "'magetui --help' lists the verbs and flags." in told(outcome)


# -- the server


@pytest.mark.parametrize(
    "password",
    [
        "p@ss",
        "p:ass",
        "pa/ss",
        "100%",
        "p#ss",
        "p?ss=no",
        PASSWORD,
        "@:/%#",
        "a b",
        "p@other:1/x",
        "%zz",
        "[p]",
        "p&q=r",
    ],
)
def test_password_that_nobody_percent_encoded_works(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase, password: str
) -> None:
    server, name = pg_database.server, sql.Identifier(f"{pg_database.name}_role")
    statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password))
    server.execute("postgres", statement)
    try:
        place = f"127.0.0.1:{server.port}/{pg_database.name}"
        found = magetui(
            "--config",
            project.ini,
            "--url",
            f"postgresql://{pg_database.name}_role:{password}@{place}",
            "--json",
            "diagnose",
        )
        assert [finding["code"] for finding in found.json["findings"]][:1] == ["empty-database"], found
        assert found.json["target"]["user"] == f"{pg_database.name}_role"
        assert found.json["target"]["url"] == f"postgresql://{pg_database.name}_role:***@{place}"
        assert password not in (found.stdout + found.stderr).replace(place, "")
    finally:
        server.execute("postgres", sql.SQL("DROP ROLE {}").format(name))


def test_wrong_password(magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase) -> None:
    url = pg_database.url.replace("@", "0@")
    cannot_connect(
        magetui,
        project.ini,
        url,
        "password",
        f"postgresql://mage:***@127.0.0.1:{pg_database.server.port}/{pg_database.name} (from --url)",
        'password authentication failed for user "mage"',
        "Check the user and password.",
    )


def test_host_that_does_not_resolve(magetui: Magetui, project: AlembicProject) -> None:
    url = f"postgresql://mage:{SECRET}@no-such-host.invalid/x"
    cannot_connect(magetui, project.ini, url, "name", "no-such-host.invalid", "Check the host in the URL")


def test_host_that_refuses(magetui: Magetui, project: AlembicProject) -> None:
    url = f"postgresql://mage:{SECRET}@127.0.0.1:{closed_port()}/x"
    every = (("schema",), ("locks",), ("plan", "migrate"), MIGRATE, ROLLBACK, STAMP)
    sentences = ("Connection refused", "Check the host and port, and that the server is running.")
    cannot_connect(magetui, project.ini, url, "refused", *sentences, others=every)
    shown = magetui("--config", project.ini, "--url", url, "diagnose")
    assert "next: check --url and the environment" in shown.stdout
    assert "magetui connect" not in shown.stdout  # a screen, and no verb


@pytest.mark.slow
def test_host_that_never_answers(magetui: Magetui, project: AlembicProject, silent_port: int) -> None:
    url = f"postgresql://mage:{SECRET}@127.0.0.1:{silent_port}/x?connect_timeout=2"
    for verb, status in ((("diagnose", "--json"), 3), (MIGRATE, 1)):
        outcome = magetui("--config", project.ini, "--url", url, *verb, timeout=25)
        assert outcome.status == status, outcome
        assert "no firewall drops the connection" in told(outcome)
        if verb[0] == "diagnose":
            assert outcome.json["findings"][0]["facts"]["cause"] == "timeout"
            assert 1_500 < outcome.json["elapsed_ms"] < 8_000  # and not the 10 s that are ours


def test_database_that_does_not_exist(magetui: Magetui, project: AlembicProject, postgres: PostgresServer) -> None:
    url = postgres.url("no_such_database")
    sentences = ('database "no_such_database" does not exist', "Check the database's name, or create it.")
    cannot_connect(magetui, project.ini, url, "no-database", *sentences)


def closed_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
