"""SQL Server, as far as it can be tested without a server: every test uses the fake of tests/support/sqlserver.

The program, its child process and the client drivers are real, and the fake speaks the server's protocol. So the tests
prove what the program sends and how it understands the answers. They do not prove that a server would give these
answers.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

from magetui.engine.project.project import alembic_project
from tests.support.command import Magetui
from tests.support.sqlserver.drivers import each_driver, url
from tests.support.sqlserver.operators import Operator
from tests.support.sqlserver.server import PASSWORD, Other, Scene


def codes(diagnosis: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["code"]: finding for finding in diagnosis["findings"]}


@pytest.mark.slow
@each_driver
def test_a_chain_goes_up_and_the_current_revision_is_read_back(operator: Operator, driver: str) -> None:
    before = operator("diagnose", driver=driver)
    assert before.status == 3, before
    assert "experimental" in before.stdout and "server    mssql 16.0.4165.4" in before.stdout
    assert "database  orders, schema dbo" in before.stdout

    done = operator("migrate", "--yes", "--json", driver=driver)
    assert done.status == 0, done
    assert (done.json["outcome"], done.json["current_after"]) == ("done", ["rev2"])
    assert operator.current == ["rev2"] and {"t1", "t2"} <= operator.tables

    [table] = operator("schema", "t1", "--json", driver=driver).json["tables"]
    assert (table["schema"], table["rows"], table["bytes"], table["primary_key"]) == ("dbo", 0, 16384, ["id"])
    assert [(c["name"], c["type"], c["nullable"]) for c in table["columns"]] == [
        ("id", "int", False),
        ("name", "varchar(50)", False),
    ]
    assert operator("diagnose", "--json", driver=driver).status == 0

    sent = operator.server.statements
    name = f"magetui {alembic_project(operator.project.ini).mutex_key}"
    assert any("set lock_timeout 500; set context_info 0x" in statement for statement in sent)
    assert any(
        f"set lock_timeout 10000; set context_info 0x{b'magetui run 1'.hex()}" in statement for statement in sent
    )
    assert any(
        f"exec @taken = sp_getapplock @Resource = N'{name}'" in statement and "@LockTimeout = 0" in statement
        for statement in sent
    )
    assert any(statement.startswith(f"exec sp_releaseapplock @Resource = N'{name}'") for statement in sent)


def test_all_our_queries_are_t_sql_on_documented_columns(operator: Operator) -> None:
    """The fake refuses any other query; this test shows that each query has been sent."""
    operator.migrated()
    operator.server.query(
        "alter table t2 add column parent integer not null default 0 references t1 (id) on delete set null"
    )
    operator.server.query("create unique index ix_t2_name on t2 (name)")
    shown = operator("schema", "t2").stdout
    assert "parent  int          not null               default (0)" in shown, shown
    assert "unique index ix_t2_name (name)" in shown
    assert "foreign key FK_t2_0 (parent) → t1 (id) on delete set null" in shown
    operator("locks")
    operator("diagnose")
    for file in (files("magetui.backends.mssql") / "sql").iterdir():
        begins = file.read_text(encoding="utf-8").strip().split("{")[0].strip()
        assert any(begins in statement for statement in operator.server.statements), file.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("driver", "ends_transactions"),
    [
        ("pymssql", True),
        pytest.param("pyodbc", False, marks=pytest.mark.odbc),
        pytest.param("mssqlpython", True, marks=pytest.mark.odbc),
    ],
    ids=["pymssql-transaction-ended", "pyodbc", "mssqlpython-transaction-ended"],
)
def test_who_is_in_the_way_is_shown_when_a_lock_is_not_to_be_had(
    operator: Operator, driver: str, ends_transactions: bool
) -> None:
    """If the server has ended the transaction, ROLLBACK fails with 3903, which must not hide the first error."""
    operator.migrated()
    operator.server.set(Scene(others=[Other(61, holds="t1")], ends_transactions=ends_transactions))

    done = operator("rollback", "--revision", "base", "--yes", "--lock-timeout-seconds", "4", "--json", driver=driver)

    assert done.status == 5, done
    assert (done.json["outcome"], done.json["current_after"]) == ("lock-timeout", ["rev2"])
    assert done.json["error"] == "Lock request time out period exceeded."
    [blocker] = done.json["blockers"]
    assert (blocker["pid"], blocker["state"], blocker["client"]) == (61, "idle in transaction", "10.0.3.7")
    assert blocker["holds"] == [{"relation": "t1", "mode": "INTENT EXCLUSIVE"}]
    assert "WAITING for schema modification on t1" in done.stderr
    assert operator.current == ["rev2"] and {"t1", "t2"} <= operator.tables


@pytest.mark.slow
def test_less_is_shown_to_a_login_that_may_not_see_others(operator: Operator) -> None:
    operator.migrated()
    name = f"magetui {alembic_project(operator.project.ini).mutex_key}"
    operator.server.set(Scene(others=[Other(61, holds="t1"), Other(62, application_lock=name)], denied=True))

    found = codes(operator("diagnose", "--json").json)
    assert "VIEW SERVER STATE" in found["sessions-hidden"]["message"]
    assert "somebody (this login may not see who)" in found["migration-running"]["message"]
    assert "idle-in-transaction" not in found
    listed = operator("locks")
    assert (listed.status, listed.stdout) == (0, "no other sessions\n")
    assert "may not see the sessions of others" in listed.stderr

    operator.server.set(Scene(others=[Other(61, holds="t1")], denied=True))
    done = operator("rollback", "--revision", "base", "--yes", "--lock-timeout-seconds", "0.6", "--json")
    assert (done.status, done.json["outcome"], done.json["blockers"]) == (5, "lock-timeout", [])


def test_less_is_shown_where_a_view_is_missing(operator: Operator) -> None:
    operator.migrated()
    operator.server.set(Scene(others=[Other(61, holds="t1")], missing=["dm_exec_connections", "allocation_units"]))
    listed = operator("locks")
    assert listed.stdout == ("61  mage  mage-server  app1  idle in transaction\n    holds t1 (intent exclusive)\n"), (
        listed
    )
    assert operator("diagnose").status == 0
    assert "kB" not in operator("schema").stdout


def test_two_migrations_exclude_each_other(operator: Operator) -> None:
    name = f"magetui {alembic_project(operator.project.ini).mutex_key}"
    operator.server.set(Scene(others=[Other(62, application_lock=name, program="deploy")]))
    found = codes(operator("diagnose", "--json").json)
    assert "session 62 (deploy)" in found["migration-lock-held"]["message"]
    done = operator("migrate", "--yes", "--lock-timeout-seconds", "0.3")
    assert done.status == 5, done
    assert "Session 62 (deploy) holds the migration lock and did not release it within 0.3 s" in done.stdout
    assert "t1" not in operator.tables


def test_a_session_can_be_ended_and_its_query_not_cancelled(operator: Operator) -> None:
    operator.migrated()
    operator.server.set(Scene(others=[Other(61, holds="t1")], may_kill=False))
    refused = operator("locks", "--cancel", "61", "--yes")
    assert refused.status == 4
    assert "SQL Server cannot cancel the query of session 61" in refused.stderr
    forbidden = operator("locks", "--terminate", "61", "--yes")
    assert forbidden.status == 4, forbidden
    assert "ALTER ANY CONNECTION" in forbidden.stderr

    operator.server.set(Scene(others=[Other(61, holds="t1")]))
    ended = operator("locks", "--terminate", "61", "--yes")
    assert (ended.status, ended.stdout) == (0, "Session 61 has ended.\n"), ended
    assert sum(statement.endswith(" kill 61") for statement in operator.server.statements) == 2


@pytest.mark.slow
@pytest.mark.parametrize("driver", [pytest.param("pyodbc", marks=pytest.mark.odbc), "pymssql"])
def test_a_statement_that_takes_too_long_is_ended(operator: Operator, driver: str) -> None:
    """pyodbc can cancel the statement; with other drivers our own session is ended, and the server rolls back."""
    operator.migrated()
    operator.server.set(Scene(others=[Other(61, holds="t1")]))
    flags = ("--lock-timeout-seconds", "30", "--statement-timeout-seconds", "0.5", "--json")
    done = operator("rollback", "--revision", "base", "--yes", *flags, driver=driver)
    assert (done.status, done.json["outcome"], done.json["current_after"]) == (1, "statement-timeout", ["rev2"]), done
    assert any(" kill " in statement for statement in operator.server.statements) is (driver == "pymssql")
    assert {"t1", "t2"} <= operator.tables


def test_a_failing_revision_leaves_nothing_behind(operator: Operator) -> None:
    script = next(operator.project.versions.glob("rev2*"))
    script.write_text(
        script.read_text()
        .replace("pass", "")
        .replace(
            "def upgrade():\n", 'def upgrade():\n    op.add_column("no_such_table", sa.Column("extra", sa.Integer))\n'
        )
    )
    operator.server.set(Scene(ends_transactions=True))
    done = operator("migrate", "--yes", "--json", "--lock-timeout-seconds", "0")
    assert (done.status, done.json["outcome"], done.json["current_after"]) == (1, "failed", [])
    # For SQL Server, -1 is no limit; 0 would mean not to wait at all.
    assert any(statement.startswith("set lock_timeout -1;") for statement in operator.server.statements)
    assert done.json["error"].startswith('Cannot find the object "no_such_table"'), done.json["error"]
    assert "t1" not in operator.tables


@pytest.mark.slow
def test_an_unknown_current_revision_is_replaced(operator: Operator) -> None:
    assert operator("stamp", "rev1", "--yes").status == 0
    assert operator.current == ["rev1"]
    operator.server.query("update alembic_version set version_num = 'gone1'")
    assert "unknown-revision" in codes(operator("diagnose", "--json").json)
    done = operator("stamp", "rev2", "--replace-unknown-revision", "gone1", "--yes")
    assert done.status == 0, done
    assert operator.current == ["rev2"]


def test_a_plan_says_what_is_lost_and_that_locks_are_not_foretold(operator: Operator) -> None:
    operator.migrated()
    operator.server.query("insert into t1 (name) values ('a'), ('b')")
    shown = operator("plan", "rollback", "--revision", "base").stdout
    assert "locks   no forecast on SQL Server yet" in shown, shown
    assert "loses   table t1 with 2 rows" in shown
    assert "DROP TABLE t1;" in shown
    assert "! SQL Server is supported experimentally" in shown


def test_what_is_not_there_yet_says_so(operator: Operator) -> None:
    operator.migrated()
    backup = operator("backup")
    assert backup.status == 1 and "BACKUP DATABASE [orders] TO DISK" in backup.stderr, backup
    evidence = operator("evidence")
    assert evidence.status == 1 and "not compared with the revisions yet" in evidence.stderr, evidence
    verified = operator("verify", "--yes")
    assert verified.status == 4 and "cannot replay a chain on SQL Server yet" in verified.stderr, verified
    finished = operator("finish", "--yes")
    assert finished.status == 1 and "not compared with the revisions yet" in finished.stderr, finished


def test_a_database_that_takes_no_writes_is_told(operator: Operator) -> None:
    operator.server.set(Scene(read_only=True))
    found = codes(operator("diagnose", "--json").json)
    assert "secondary replica" in found["server-read-only"]["message"]
    done = operator("migrate", "--yes")
    assert done.status == 4 and "t1" not in operator.tables


def test_tables_that_the_login_may_not_alter_are_told(operator: Operator) -> None:
    operator.migrated()
    operator.server.set(Scene(may_alter=False))
    found = codes(operator("diagnose", "--json").json)
    assert found["not-owner"]["message"] == "The role mage may not alter alembic_version, t1, t2."


@each_driver
def test_a_wrong_password_is_told_from_other_causes(operator: Operator, driver: str) -> None:
    operator.url = url(driver, operator.server.port, PASSWORD.replace("Pa", "Pe"))
    [finding] = (f for f in operator("diagnose", "--json").json["findings"] if f["code"] == "cannot-connect")
    assert finding["facts"]["cause"] == "password", finding
    assert "Login failed for user 'mage'" in finding["message"]


def test_a_missing_driver_is_named_with_what_brings_it(magetui: Magetui, operator: Operator) -> None:
    flags = ("--config", operator.project.ini, "--url", operator.url)
    missing = operator.project.ini.parent / "missing"
    missing.mkdir()
    without = "raise ModuleNotFoundError(\"No module named 'pymssql'\", name='pymssql')\n"
    (missing / "pymssql.py").write_text(without)
    done = magetui("diagnose", "--json", *flags, env={"PYTHONPATH": str(missing)})
    [finding] = (f for f in done.json["findings"] if f["code"] == "cannot-connect")
    assert finding["facts"]["cause"] == "driver-missing", finding
    assert "pip install 'magetui[mssql-pymssql]'" in finding["message"]
    assert PASSWORD not in done.stdout


@pytest.mark.odbc
def test_a_connection_string_that_the_driver_refuses_is_told(operator: Operator) -> None:
    operator.url = f"{url('mssqlpython', operator.server.port)}&driver=FreeTDS"
    [finding] = (f for f in operator("diagnose", "--json").json["findings"] if f["code"] == "cannot-connect")
    assert finding["facts"]["cause"] == "bad-url"
    assert "Reserved keyword 'driver'" in finding["message"]
