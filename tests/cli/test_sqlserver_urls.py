"""URLs of SQL Server with `odbc_connect`: which database they lead to, what is shown of them, and their password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote_plus

import pytest

from magetui.engine.target.target import address, parse_target
from magetui.protocol import odbc
from magetui.protocol.redaction import redact_url, secrets_of
from tests.support.sqlserver.drivers import ODBC_NAME
from tests.support.sqlserver.operators import Operator
from tests.support.sqlserver.server import HOST, PASSWORD, USER


def odbc_url(keywords: str) -> str:
    return f"mssql+pyodbc://?odbc_connect={quote_plus(keywords)}"


def where(url: str) -> tuple[object, ...]:
    return address(parse_target(url, "--url").url)


@pytest.mark.parametrize(
    ("keywords", "host", "port", "database"),
    [
        ("DRIVER={FreeTDS};SERVER=db1;DATABASE=orders;UID=mage;PWD=x", "db1", 1433, "orders"),
        ("driver={a;b};server=tcp:DB1,1444;Initial Catalog=Orders", "db1", 1444, "orders"),
        ("Addr=db1;Port=1444;Database={or}}ders};", "db1", 1444, "or}ders"),
        ("Data Source=db1\\Sales;Database=orders", "db1\\sales", None, "orders"),
        ("Address=db1\\Sales,1444;Database=orders", "db1", 1444, "orders"),
        ("SERVER=(local);DATABASE=orders", "localhost", 1433, "orders"),
        ("SERVER=::1,1444", "localhost", 1444, None),
        ("SERVER=db1;SERVER=db2", "db1", 1433, None),
    ],
)
def test_a_connection_string_leads_to_its_own_database(
    keywords: str, host: str, port: int | None, database: str | None
) -> None:
    assert where(odbc_url(keywords)) == ("mssql", host, port, database)
    assert where(redact_url(odbc_url(keywords))) == ("mssql", host, port, database)


def test_the_same_database_is_known_in_every_spelling() -> None:
    plain = where("mssql+pymssql://mage:x@db1/orders")
    assert plain == where(odbc_url("SERVER=tcp:DB1,1433;DATABASE=ORDERS;UID=sa"))
    assert plain == where("mssql+pyodbc://?odbc_connect=DRIVER={ODBC};SERVER=db1;DATABASE=orders;PWD={a@b;c}")
    assert plain != where(odbc_url("SERVER=db2;DATABASE=orders")) != where(odbc_url("SERVER=db2;DATABASE=billing"))


def test_what_is_shown_names_server_and_database_and_no_secret() -> None:
    url = odbc_url("DRIVER={ODBC Driver 18};SERVER=tcp:db1,1444;DATABASE=orders;User ID=mage;Password={a;b}}c}")
    assert redact_url(url) == "mssql+pyodbc://mage:***@db1:1444/orders"
    assert {"a;b}c", "{a;b}}c}", "a%3Bb%7Dc"} <= set(secrets_of(url))
    assert redact_url(odbc_url("DSN=orders;UID=mage")) == "mssql+pyodbc://mage@orders"


def test_a_password_is_added_as_the_driver_reads_it() -> None:
    target = parse_target(odbc_url("SERVER=db1;UID=mage;PWD=old;pwd=older;ENCRYPT=yes"), "--url")
    assert target.has_password and target.user == "mage"
    changed = target.with_password("Pa}ss;w@rd")
    assert changed.url.query[odbc.PARAMETER] == "SERVER=db1;UID=mage;ENCRYPT=yes;PWD={Pa}}ss;w@rd};"
    assert parse_target(changed.text, "--url").url.query == changed.url.query
    assert not parse_target(odbc_url("SERVER=db1;UID=mage"), "--url").has_password


@pytest.mark.slow
def test_production_is_known_by_its_connection_string(own: Path, operator: Operator) -> None:
    """All such URLs seemed to lead to one address, so a mark of production was on all of them or on none."""

    def marked(database: str) -> str:
        keywords = f"DRIVER={{{ODBC_NAME}}};SERVER={HOST},{operator.server.port};DATABASE={database};UID=sa"
        return f'[targets.{database}]\nurl = "{odbc_url(keywords)}"\nproduction = true\n'

    operator.migrated()
    own.write_text(marked("billing"))
    assert "PRODUCTION" not in operator("rollback", "--revision", "rev1", "--yes").stderr
    own.write_text(marked("billing") + marked("Orders"))
    done = operator("rollback", "--revision", "base", "--yes")
    assert "this is Orders  PRODUCTION" in done.stderr, done


@pytest.mark.slow
@pytest.mark.odbc
def test_a_password_command_gives_the_password_of_a_connection_string(own: Path, operator: Operator) -> None:
    operator.migrated()
    keywords = f"DRIVER={{{ODBC_NAME}}};SERVER={HOST},{operator.server.port};DATABASE=orders;UID={USER};Encrypt=no"
    own.write_text(
        f'[targets.live]\nurl = "{odbc_url(keywords)}"\nconfig = "{operator.project.ini}"\n'
        f"password_command = [\"printf\", '%s', '{PASSWORD}']\n"
    )
    done = operator.choosing("live", "diagnose", "--json")
    assert done.status == 0, done
    target = done.json["target"]
    assert target["url"] == f"mssql+pyodbc://{USER}:***@{HOST}:{operator.server.port}/orders"
    assert (target["database"], target["user"]) == ("orders", USER)
    migrated = operator.choosing("live", "rollback", "--revision", "rev1", "--yes", "--json")
    assert migrated.json["database"] == target["url"], migrated
    assert operator.current == ["rev1"]
