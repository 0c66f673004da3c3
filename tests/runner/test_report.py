"""The report of a run, as somebody reads it who writes up the incident."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from magetui.engine.runs.record import RunRecord, fold
from magetui.model.sessions import LockWait, StatementProgress
from magetui.protocol import events
from magetui.text.run_report import report
from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.journals import journal, named
from tests.support.live import Live
from tests.support.waiting import eventually

WAIT = LockWait("role", "ACCESS EXCLUSIVE")


def at(seconds: float) -> str:
    """Return the stamp of a moment so many seconds after the start of the run."""
    return f"2026-05-01T12:00:{seconds:06.3f}Z"


def worded(*happened: events.Event) -> str:
    """Return the lines of the events, without the head of the report."""
    started = events.RunStarted(
        at(0), 3, "migrate", "head", ("rev1",), (), "postgresql://db/mage", "scripts", 4711, "mage", "db1", 10_000, 0
    )
    everything = [started, *happened]
    lines = list(report(fold(RunRecord(run=3), everything), everything))
    return "\n".join(lines[lines.index("Events, in minutes and seconds since the start:") :])


def awaited(seconds: float) -> events.LockAwaited:
    return events.LockAwaited(at(seconds), at(seconds), 10_000, WAIT, ())


def test_a_wait_that_ends_with_the_lock_says_so() -> None:
    said = worded(
        events.StatementStarted(at(1), 1, "ALTER TABLE role ADD COLUMN x integer"),
        awaited(1.1),
        events.LockObtained(at(3.1), 2_000),
        events.StatementEnded(at(4), 1, 3_000),
    )
    assert "0:03.100  got the lock after 2.0 s: access exclusive on role" in said
    assert "0:04.000    took 3.0 s\n" in f"{said}\n"


def test_a_wait_whose_end_is_noticed_after_its_statement_has_ended_is_told_with_the_statement() -> None:
    said = worded(
        events.StatementStarted(at(1), 1, "DROP INDEX ix_role"),
        awaited(1.1),
        events.StatementEnded(at(3), 1, 2_000),
        events.LockObtained(at(3.2), 2_100),
    )
    assert "0:03.000    took 2.0 s, of which up to 1.9 s waiting for the lock" in said
    assert "got the lock" not in said


@pytest.mark.parametrize(
    "failed",
    [
        events.AttemptFailed(at(11.2), 1, 2, "lock timeout", 900),
        events.RunEnded(at(11.2), "lock-timeout", ("rev1",), 11_200),
    ],
    ids=["attempt", "run"],
)
def test_a_wait_that_ends_without_the_lock_does_not_say_that_it_was_had(failed: events.Event) -> None:
    begun = events.StatementStarted(at(1), 1, "DROP INDEX ix_role")
    noticed = events.LockObtained(at(11.1), 10_000)
    said = worded(begun, awaited(1.1), noticed, failed)
    assert "stopped waiting after 10.0 s: access exclusive on role" in said
    assert "stopped waiting" not in worded(begun, awaited(1.1), failed, noticed)


def test_ten_minutes_of_progress_are_told_by_the_tenth() -> None:
    made = [
        events.ProgressMade(at(n / 20), 1, StatementProgress("rewriting table", "big", None, n, 1_000, "bytes"))
        for n in range(1, 1_001)
    ]
    said = worded(events.StatementStarted(at(0), 1, "ALTER TABLE big ALTER id TYPE bigint"), *made)
    assert len(re.findall("rewriting table on big", said)) == 11
    assert "rewriting table on big: 50 %, 500 B of 1 kB" in said


@pytest.mark.slow
def test_an_attempt_without_the_lock_and_one_with_it_read_as_a_story(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    common = ("--config", project.ini)
    flags = ("--yes", "--lock-timeout-seconds", "3", "--lock-retries", "5")
    with pg_database.session("SELECT * FROM t2") as holder:
        pid = holder.info.backend_pid
        live = Live(magetui.start(*common, "rollback", "--revision", "rev1", *flags))
        eventually(lambda: named(journal(state_dir, 2), "attempt-failed"), 20)
        holder.rollback()
        assert live.end().status == 0
    said = magetui(*common, "runs", 2, "--report").stdout
    for pattern in (
        r"^run 2: rollback to rev1$",
        r"^  limits    lock timeout 3\.0 s, up to 5 retries after a lock timeout$",
        r"^ +0:\d\d\.\d{3}  WAITING for access exclusive on t2, up to 3\.0 s$",
        rf"^ +blocker: {pid}  mage  mage-server  127\.0\.0\.1  idle in transaction, ",
        r"attempt 1 of 6 could not get the lock; next attempt in .*\n +.*lock timeout",
        r"^ +0:\d\d\.\d{3}  ended: done$",
    ):
        assert re.search(pattern, said, re.MULTILINE), f"{pattern}\n{said}"
    assert said.index("WAITING for access exclusive") < said.index("attempt 1 of 6") < said.index("ended: done")
    assert not re.search(r"[ \t]$", said, re.MULTILINE)
