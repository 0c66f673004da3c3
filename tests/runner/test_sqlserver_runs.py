"""Runs on SQL Server through the real drivers: what a batch hid, who ended the transaction, and how a run is cancelled.

The server is the fake of tests/support/sqlserver, which speaks the real protocol.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.journals import journal, named
from tests.support.sqlserver.drivers import each_driver
from tests.support.sqlserver.operators import Operator
from tests.support.sqlserver.server import Other, Scene
from tests.support.sqlserver.session import LONG, QUIET_ROLLBACK
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

TWO_ROWS = "insert into t1 (id, name) values (1, 'a'); insert into t1 (id, name) values (1, 'b')"
DUPLICATE = "Violation of PRIMARY KEY constraint. Cannot insert duplicate key in object 't1.id'."
T2 = 'op.create_table("t2", sa.Column("id", sa.Integer))'


@each_driver
@pytest.mark.parametrize("batch", [TWO_ROWS, f"select name from t1; {TWO_ROWS}"], ids=["inserts", "rows-first"])
def test_an_error_in_a_later_statement_of_a_batch_is_not_lost(operator: Operator, driver: str, batch: str) -> None:
    operator.revises(f'op.execute("{batch}")\n{T2}')
    done = operator("migrate", "--yes", "--json", driver=driver)
    assert (done.status, done.json["outcome"], done.json["current_after"]) == (1, "failed", []), done
    assert done.json["error"] == DUPLICATE
    assert not {"t1", "t2"} & operator.tables


@each_driver
def test_a_script_still_gets_the_rows_and_the_numbers_that_it_asks_for(operator: Operator, driver: str) -> None:
    operator.revises(
        "bind = op.get_bind()\n"
        "bind.execute(sa.text(\"insert into t1 (id, name) values (1, 'a'), (2, 'b')\"))\n"
        "changed = bind.execute(sa.text(\"update t1 set name = 'c' where id > 0\")).rowcount\n"
        'rows = bind.execute(sa.text("select id, name from t1 order by id")).fetchall()\n'
        't1 = sa.table("t1", sa.column("id"), sa.column("name"))\n'
        "one = bind.execute(sa.select(t1.c.name).where(t1.c.id == 2)).scalar()\n"
        'bind.execute(sa.insert(t1).values(id=3, name=f"{changed} {rows} {one}"))'
    )
    done = operator("migrate", "--yes", "--json", driver=driver)
    assert (done.status, done.json["outcome"]) == (0, "done"), done
    assert operator.server.query("select name from t1 where id = 3") == [("2 [(1, 'c'), (2, 'c')] c",)]


@each_driver
def test_a_transaction_that_ends_without_an_error_stops_the_run(
    operator: Operator, state_dir: Path, driver: str
) -> None:
    """@@TRANCOUNT falls to 0: a procedure has rolled back, and what followed would be committed without the rest."""
    operator.revises(f'op.execute("{QUIET_ROLLBACK}")\n{T2}')
    done = operator("migrate", "--yes", "--json", driver=driver)
    assert (done.status, done.json["outcome"], done.json["current_after"]) == (1, "failed", []), done
    assert "The run's transaction ended with this statement" in done.json["error"]
    assert not {"t1", "t2"} & operator.tables
    [ended] = named(journal(state_dir), "run-ended")
    assert ended["statement"] == QUIET_ROLLBACK and ended["committed"] is False


@each_driver
def test_a_script_that_catches_an_error_does_not_go_on_without_its_transaction(operator: Operator, driver: str) -> None:
    operator.server.set(Scene(ends_transactions=True))
    operator.revises(
        f'try:\n    op.execute("insert into t1 (id, name) values (1, NULL)")\nexcept sa.exc.DBAPIError:\n    pass\n{T2}'
    )
    done = operator("migrate", "--yes", "--json", driver=driver)
    assert (done.status, done.json["outcome"], done.json["current_after"]) == (1, "failed", []), done
    assert "made the server roll back the transaction, and the script continued" in done.json["error"]
    assert not {"t1", "t2"} & operator.tables


@pytest.mark.odbc
@pytest.mark.parametrize("driver", ["pyodbc", "mssqlpython"])  # with pymssql, plain Alembic fails on its own COMMIT
def test_a_script_that_commits_by_itself_continues(operator: Operator, state_dir: Path, driver: str) -> None:
    operator.revises(f'op.execute("commit")\n{T2}\nop.execute("insert into t2 (id) values (1)")')
    done = operator("migrate", "--yes", "--json", driver=driver)
    assert (done.status, done.json["outcome"]) == (0, "done"), done
    assert operator.current == ["rev2"] and {"t1", "t2"} <= operator.tables
    assert named(journal(state_dir), "run-ended")[0]["committed"] is True


@each_driver
def test_a_transaction_of_unknown_state_does_not_count_as_committed(
    operator: Operator, state_dir: Path, driver: str
) -> None:
    operator.server.set(Scene(keeps_count_secret=True, others=[Other(61, holds="t1")]))
    operator.revises("op.execute(\"update t1 set name = 'b'\")")
    flags = ("--lock-timeout-seconds", "0.5", "--lock-retries", "2", "--json")
    done = operator("migrate", "--yes", *flags, driver=driver)
    assert (done.status, done.json["outcome"], done.json["current_after"]) == (5, "lock-timeout", []), done
    events = journal(state_dir)
    assert named(events, "run-ended")[0]["committed"] is False
    assert "did not say whether the transaction was open" in done.stderr  # why there is no second try
    assert "t1" not in operator.tables


@each_driver
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_cancelled_run_ends_as_cancelled(operator: Operator, driver: str, number: signal.Signals) -> None:
    """Microsoft's driver takes a read that a signal interrupts for a lost connection (10004)."""
    operator.revises(f'op.execute("{LONG}")')
    live = operator.start("migrate", "--yes", "--json", driver=driver)
    eventually(lambda: LONG in operator.server.statements, 60)
    if number == signal.SIGTERM:
        assert operator("runs", "1", "--cancel").status == 0
    else:
        live.interrupt(number)
    ended = live.end()
    assert (ended.status, ended.json["outcome"], ended.json["current_after"]) == (130, "cancelled", []), ended
    assert ended.json["unchanged"] is True and "t1" not in operator.tables


@each_driver
def test_the_error_of_a_rollback_does_not_hide_the_first_error(operator: Operator, driver: str) -> None:
    """The server speaks German, mssql-python gives no numbers, and there is nothing left to roll back (3903)."""
    operator.server.set(Scene(ends_transactions=True, language="de"))
    operator.revises('op.add_column("no_such_table", sa.Column("extra", sa.Integer))')
    done = operator("migrate", "--yes", "--json", driver=driver)
    assert (done.status, done.json["outcome"]) == (1, "failed"), done
    assert done.json["error"].startswith("Das Objekt 'no_such_table' kann nicht gefunden werden"), done.json["error"]
