"""Other sessions of a SQL Server: one that never asked anything, and one with an open change of the schema."""

from __future__ import annotations

import pytest

from tests.support.sqlserver.drivers import each_driver
from tests.support.sqlserver.operators import Operator
from tests.support.sqlserver.server import Other, Scene

pytestmark = pytest.mark.slow


def test_a_session_that_never_ended_a_request_does_not_end_the_diagnosis(operator: Operator) -> None:
    """Its last request ended in 1900, and the seconds since then are too many for datediff (535)."""
    operator.migrated()
    operator.server.set(Scene(others=[Other(61, last_request="1900-01-01 00:00:00"), Other(62, holds="t1")]))
    listed = operator("locks", "--json")
    assert listed.status == 0, listed
    waited = {session["pid"]: session["query_ms"] for session in listed.json["sessions"]}
    assert waited[61] is None and waited[62] > 0
    assert operator("diagnose").status == 0


@each_driver
def test_the_current_revision_is_read_while_somebody_changes_another_table(operator: Operator, driver: str) -> None:
    """An uncommitted change of the schema blocks the catalog views (1222), and not the rows of the version table."""
    operator.migrated()
    operator.server.set(Scene(others=[Other(61, holds="t1", uncommitted=True)]))
    shown = operator("diagnose", "--json", driver=driver)
    assert shown.json["current"] == ["rev2"], shown
    assert {table["name"] for table in operator("schema", "--json", driver=driver).json["tables"]} >= {"t1", "t2"}


@each_driver
def test_an_uncommitted_revision_is_not_told_as_the_current_one(operator: Operator, driver: str) -> None:
    operator.migrated()
    operator.server.set(Scene(others=[Other(61, holds="alembic_version", uncommitted=True)]))
    shown = operator("diagnose", "--json", driver=driver)
    messages = [finding["message"] for finding in shown.json["findings"]]
    assert any("Another session has dbo.alembic_version locked" in message for message in messages), shown
    assert "rev2" not in shown.json["current"]


def test_a_plan_offers_no_backup_that_this_program_does_not_make(operator: Operator) -> None:
    operator.migrated()
    operator.server.query("insert into t1 (name) values ('a'), ('b')")
    shown = operator("plan", "rollback", "--revision", "base").stdout
    words = " ".join(shown.split())
    assert "in any client, BACKUP DATABASE [orders] TO DISK = N'…' WITH COPY_ONLY, CHECKSUM saves the data" in words
    assert "magetui backup" not in shown
