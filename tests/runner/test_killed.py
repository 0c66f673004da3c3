"""What is left, and what is said, when a run's process, its command line or its server dies in the middle."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.gate import REWRITE, ROWS, closed_gate, gated_project
from tests.support.journals import child_of, journal, named, wait_for_statement
from tests.support.live import Live
from tests.support.postgres import Mode
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

REWRITTEN_ROWS = f"SELECT count(*) FROM big WHERE name LIKE '%!' AND extra = id HAVING count(*) = {ROWS}"


@pytest.fixture
def common(pg_database: PostgresDatabase, magetui: Magetui, tmp_path: Path) -> tuple[object, ...]:
    """The flags for a project whose large table exists and is to be rewritten next."""
    project = gated_project(tmp_path / "project", pg_database)
    flags = ("--config", project.ini)
    first = magetui(*flags, "migrate", "--revision", "rev1", "--yes")
    assert first.status == 0, first
    return flags


def codes(found: object) -> list[str]:
    assert isinstance(found, dict)
    return [finding["code"] for finding in found["findings"]]


def test_killed_child_is_told_as_lost_and_a_second_migrate_finishes(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, common: tuple[object, ...]
) -> None:
    before = pg_database.content
    with closed_gate(pg_database) as gate:
        live = Live(magetui.start(*common, "migrate", "--yes", "--json"))
        session = wait_for_statement(state_dir, REWRITE, run=2)["session"]
        os.kill(child_of(state_dir, 2), signal.SIGKILL)
        killed = live.end()
        assert killed.status == 1, killed
        assert killed.json["outcome"] == "lost"
        assert killed.json["current_before"] == killed.json["current_after"] == ["rev1"]
        assert "ended without a report" in killed.json["error"]

        told = magetui(*common, "runs", 2)
        assert "Lost. " in told.stdout
        assert "Current revision: rev1." in told.stdout
        listed = magetui(*common, "runs", "--json").json["runs"]
        assert [(run["run"], run["outcome"], run["alive"]) for run in listed] == [
            (2, "lost", False),
            (1, "done", False),
        ]
        found = magetui(*common, "diagnose", "--json").json
        assert found["current"] == ["rev1"]
        assert found["pending"] == ["rev2", "rev3"]
        assert "behind" in codes(found)
        assert "migration-running" not in codes(found)  # the mutex went with its session

        # The server notices that nobody listens any more, ends the statement and gives the locks back.
        gone = f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}"
        eventually(lambda: not pg_database.rows(gone), 20)
        assert pg_database.content == before
        gate.rollback()

    second = magetui(*common, "migrate", "--yes", "--lock-timeout-seconds", 60)
    assert second.status == 0, second
    assert pg_database.current == ["rev3"]
    assert pg_database.rows(REWRITTEN_ROWS)


def test_second_migrate_right_after_a_kill_names_the_session_that_is_still_there(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, common: tuple[object, ...]
) -> None:
    with closed_gate(pg_database) as gate:
        live = Live(magetui.start(*common, "migrate", "--yes"))
        session = wait_for_statement(state_dir, REWRITE, run=2)["session"]
        # The child hangs, so that its session surely stays: as it does, on a server before PostgreSQL 14,
        # even after a kill, since that does not look whether its client is still there.
        os.kill(child_of(state_dir, 2), signal.SIGSTOP)
        pg_database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'magetui run 2 mutex %'"
        )
        second = Live(magetui.start(*common, "migrate", "--yes", "--lock-timeout-seconds", 60))
        second.hears("WAITING for access exclusive on big")
        second.hears(rf"blocker: {session}  mage  ")
        os.kill(child_of(state_dir, 2), signal.SIGKILL)
        gate.rollback()
        first = live.end()
        ended = second.end()
    assert first.status == 1, first
    assert ended.status == 0, ended
    assert pg_database.current == ["rev3"]
    assert pg_database.rows(REWRITTEN_ROWS)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_server_restart_in_the_middle_is_told_as_lost_and_a_second_migrate_finishes(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    state_dir: Path,
    common: tuple[object, ...],
    mode: Mode,
) -> None:
    before = pg_database.content
    with closed_gate(pg_database):
        live = Live(magetui.start(*common, "migrate", "--yes", "--json"))
        wait_for_statement(state_dir, REWRITE, run=2)
        pg_database.server.restart(mode)
    lost = live.end()
    assert lost.status == 1, lost
    assert lost.json["outcome"] == "lost"
    assert lost.json["current_after"] == ["rev1"]
    assert lost.json["error"]
    assert pg_database.content == before

    told = magetui(*common, "runs", 2)
    assert "The connection to the server was lost: " in told.stdout
    assert "Current revision: rev1." in told.stdout
    found = magetui(*common, "diagnose", "--json").json
    assert found["pending"] == ["rev2", "rev3"]
    assert codes(found) == ["behind"]

    second = magetui(*common, "migrate", "--yes")
    assert second.status == 0, second
    assert pg_database.current == ["rev3"]
    assert pg_database.rows(REWRITTEN_ROWS)


def test_server_that_stays_down_leaves_a_run_that_says_it_does_not_know(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, common: tuple[object, ...]
) -> None:
    with closed_gate(pg_database):
        live = Live(magetui.start(*common, "migrate", "--yes"))
        wait_for_statement(state_dir, REWRITE, run=2)
        pg_database.server.stop("immediate")
    lost = live.end()
    assert lost.status == 1, lost
    assert "The current revision could not be read afterwards: 'magetui diagnose' reads it again." in lost.stdout
    down = magetui(*common, "diagnose", "--json")
    assert down.status == 3
    assert down.json["findings"][0]["facts"]["cause"] == "refused"
    pg_database.server.start()
    told = magetui(*common, "runs", 2)
    assert "Current revision: rev1." in told.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "hung-up"])
def test_run_goes_on_without_its_command_line_and_can_be_followed_again(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    state_dir: Path,
    common: tuple[object, ...],
    number: signal.Signals,
) -> None:
    with closed_gate(pg_database) as gate:
        live = Live(magetui.start(*common, "migrate", "--yes"))
        wait_for_statement(state_dir, REWRITE, run=2)
        live.interrupt(number)
        assert live.end().status == -number
        listed = magetui("runs", "--json").json["runs"]
        assert [(run["run"], run["alive"], run["outcome"]) for run in listed] == [
            (2, True, None),
            (1, False, "done"),
        ]

        again = Live(magetui.start("runs", 2))
        again.hears("step 1 of 2: upgrade rev2  Rewrite big")
        gate.rollback()
        told = again.end()
    assert told.status == 0, told
    assert "step 2 of 2: upgrade rev3" in told.stderr
    assert "Done. Current revision: rev3." in told.stdout
    assert pg_database.current == ["rev3"]
    assert named(journal(state_dir, 2), "run-ended")[0]["outcome"] == "done"


def test_session_of_a_killed_run_that_is_still_there_is_told_and_can_be_ended(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, common: tuple[object, ...], tmp_path: Path
) -> None:
    # As on a server before PostgreSQL 14, which does not look whether its client is still there.
    [script] = (tmp_path / "project" / "migrations" / "versions").glob("rev2_*.py")
    deaf = 'op.execute("SET client_connection_check_interval = 0")'
    script.write_text(script.read_text().replace("    op.add_column(", f"    {deaf}\n    op.add_column("))
    with closed_gate(pg_database):
        live = Live(magetui.start(*common, "migrate", "--yes"))
        session = wait_for_statement(state_dir, REWRITE, run=2)["session"]
        os.kill(child_of(state_dir, 2), signal.SIGKILL)
        live.end()
        told = magetui(*common, "runs", 2)
        assert f"Session {session} of the run is still on the server and keeps its locks" in told.stdout
        ended = magetui(*common, "locks", "--terminate", session, "--yes")
        assert ended.status == 0, ended
        gone = f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}"
        eventually(lambda: not pg_database.rows(gone), 20)
        assert "is still on the server" not in magetui(*common, "runs", 2).stdout
