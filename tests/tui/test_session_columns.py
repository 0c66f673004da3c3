"""The table of sessions: what a row says at each width, and what may not move or be cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from magetui.model.sessions import HeldLock, LockWait, Session
from magetui.tui.widgets.bars import sparkline
from magetui.tui.widgets.session_columns import Own, SessionTable, session_table
from magetui.tui.widgets.session_detail import detail_lines

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
WIDTHS = (46, 76, 116, 196)


def session(pid: int, application: str, state: str = "active", *, age: int = 2 * MINUTE, began: str = "") -> Session:
    return Session(pid, "mage", application, "10.0.3.7", state, "select 1", age, age, began=began or f"then {pid}")


def waiter(pid: int, application: str, mode: str, *blocked_by: int, queued: tuple[int, ...] = ()) -> Session:
    waiting = session(pid, application)
    wait = LockWait("generic_job", mode)
    return replace(waiting, waits_for=wait, blocked_by=blocked_by, queued_behind=queued, waited_ms=2 * MINUTE)


ROOT = replace(
    session(27895, "mage-server", "idle in transaction"),
    holds=(HeldLock("generic_job", "ACCESS SHARE"), HeldLock("user", "ROW EXCLUSIVE")),
)
DEPLOY = waiter(27899, "deploy", "ACCESS EXCLUSIVE", 27895)
API = waiter(27902, "api-1", "ACCESS SHARE", 27899, queued=(27899,))
REPORT = session(27990, "report")
CROWD = (ROOT, DEPLOY, API, REPORT)


def drawn(table: SessionTable, width: int) -> list[str]:
    return [table.heading(width), *(line for row in table.rows(width) for line in row.content.plain.splitlines())]


@pytest.mark.parametrize("width", WIDTHS)
def test_pid_state_and_table_of_the_lock_are_complete_at_every_width(width: int) -> None:
    lines = drawn(session_table(CROWD), width)
    assert max(map(cell_len, lines)) <= width
    for line, pid, state in zip(
        lines[1:],
        ("27895", "└─ 27899", "   └─ 27902", "27990"),
        ("idle in txn", "waiting", "waiting", "active"),
        strict=True,
    ):
        assert line.startswith(pid)
        assert state in line
        assert "generic_job" in line or pid == "27990"


@pytest.mark.parametrize(
    ("width", "heading"),
    [
        (46, "PID STATE LOCK"),
        (76, "PID APPLICATION STATE SINCE BLOCKS LOCK"),
        (116, "PID USER APPLICATION CLIENT STATE TXN WAIT BLOCKS LOCK"),
    ],
)
def test_a_narrow_terminal_loses_the_least_useful_columns(width: int, heading: str) -> None:
    assert session_table((ROOT, DEPLOY, REPORT)).heading(width).split() == heading.split()


def test_the_row_says_who_waits_for_how_long_and_for_which_lock() -> None:
    lines = [" ".join(line.split()) for line in drawn(session_table(CROWD), 196)[1:]]
    assert lines == [
        "27895 mage mage-server 10.0.3.7 idle in txn 2 min - 2 generic_job ACCESS SHARE +1",
        "└─ 27899 mage deploy 10.0.3.7 waiting 2 min 2 min 1 generic_job ACCESS EXCLUSIVE",
        "└─ 27902 mage api-1 10.0.3.7 waiting 2 min 2 min - generic_job ACCESS SHARE (queued)",
        "27990 mage report 10.0.3.7 active 2 min - -",
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_column_moves_when_a_number_gets_another_digit(width: int) -> None:
    ages = (9 * SECOND, 10 * SECOND, 59 * MINUTE, 3 * HOUR, 47 * HOUR, 99 * 24 * HOUR)
    crowds = [
        [ROOT, *(waiter(28_000 + number, "api", "ACCESS SHARE", ROOT.pid) for number in range(count))]
        for count in (9, 10, 200)
    ]
    crowds += [[replace(ROOT, transaction_ms=age), replace(DEPLOY, waited_ms=age)] for age in ages]
    tables = [session_table(crowd) for crowd in crowds]
    assert len({table.heading(width) for table in tables}) == 1
    assert len({drawn(table, width)[1].index("generic_job") for table in tables}) == 1


def test_a_process_of_sqlite_that_holds_a_lock_is_not_called_active() -> None:
    process = Session(4711, "mage", "python", None, "reading", None, None, None, holds=(HeldLock("shop.db", "READ"),))
    heading, line = drawn(session_table([process]), 116)
    assert heading.split() == ["PID", "USER", "APPLICATION", "STATE", "BLOCKS", "LOCK"]
    assert "holds a lock" in line
    assert "active" not in line
    [branch] = session_table([process]).branches
    detail = "\n".join(line.plain for line in detail_lines(branch, [process], 78, 20))
    assert "magetui does not signal" in detail


def test_waiters_are_in_the_order_in_which_the_server_serves_them() -> None:
    late = replace(waiter(100, "late", "ACCESS EXCLUSIVE", ROOT.pid), waited_ms=SECOND)
    early = replace(waiter(900, "early", "ACCESS EXCLUSIVE", ROOT.pid), waited_ms=HOUR)
    ours = replace(waiter(500, "run", "ACCESS EXCLUSIVE", ROOT.pid), waited_ms=MINUTE)
    lines = drawn(session_table((ROOT, late, early, ours), own=Own(500)), 76)
    assert [line[3:].split()[:2] for line in lines[2:]] == [["900", "early"], ["500", "this"], ["100", "late"]]


def test_the_roots_are_sorted_by_sessions_blocked_by_age_and_by_pid() -> None:
    old = replace(REPORT, pid=20_000, transaction_ms=HOUR)
    sessions = (ROOT, DEPLOY, REPORT, old)
    roots = {
        order: [branch.session.pid for branch in session_table(sessions, order=order).branches if not branch.depth]
        for order in ("blocks", "transaction", "pid")
    }
    assert roots == {
        "blocks": [ROOT.pid, old.pid, REPORT.pid],
        "transaction": [old.pid, ROOT.pid, REPORT.pid],
        "pid": [old.pid, ROOT.pid, REPORT.pid],
    }


def test_the_detail_says_what_ending_the_session_changes_and_cuts_only_the_query() -> None:
    root = replace(ROOT, query="select " + ", ".join(f"column_{number}" for number in range(80)))
    table = session_table((root, DEPLOY, API))
    lines = detail_lines(table.branches[0], (root, DEPLOY, API), 78, 9)
    shown = "\n".join(line.plain for line in lines)
    assert len(lines) == 9
    assert max(line.cell_length for line in lines) <= 78
    assert "enter: all" in shown
    assert "Frees 27899 (deploy) at once. 27902 (api-1) then waits for 27899." in " ".join(shown.split())
    assert "What it has not committed is rolled back" in " ".join(shown.split())


def test_the_history_of_waiting_sessions_is_as_high_as_the_crowd() -> None:
    assert sparkline([0, 0, 3, 9, 9], 8) == "__▄██"
    assert sparkline([0] * 30, 8) == "_" * 8
