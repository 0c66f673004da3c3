"""A disk that is full, and scripts that print: the record says what happened, and the run can still be stopped."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from magetui.protocol import events
from magetui.protocol.journal import Journal, Reader, create, now
from tests.support.alembic_project import Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.gate import REWRITE, closed_gate, gated_project
from tests.support.journals import child_of, journal, named, wait_for_statement
from tests.support.live import Live
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

LIMIT_BLOCKS = 128  # of 512 bytes, as dash counts them
FILL = 'for n in range(20_000): print("a line that fills the disk, number", n)\n'


def limited(magetui: Magetui, *arguments: object) -> subprocess.Popen[str]:
    """The command line, where no file may grow beyond 64 kB."""
    command = f"ulimit -f {LIMIT_BLOCKS}; exec {shlex.join(magetui.command(*arguments))}"
    return subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=magetui.directory,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_full_disk_stops_a_run_and_is_told_as_the_reason(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    full = Revision(id="rev2", down="rev1", message="Fill", upgrade=f'{FILL}op.execute("CREATE TABLE t2 (id int)")')
    project = make_project(tmp_path / "project", (*linear(1), full), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    before = pg_database.content
    ended = magetui.finish(limited(magetui, "--config", project.ini, "migrate", "--yes", "--json"))
    assert ended.status == 1, ended
    assert ended.json["outcome"] == "lost"
    assert "The run's record cannot be written: File too large. The run was stopped;" in ended.json["error"]
    assert ended.json["current_after"] == ["rev1"]
    assert pg_database.content == before
    recorded = journal(state_dir, 2)  # every line is whole
    assert named(recorded, "step-started")
    assert not named(recorded, "run-ended")
    again = magetui("--config", project.ini, "runs", 2)
    assert "The run's record cannot be written: File too large." in " ".join(again.stdout.split())


def test_run_on_a_full_disk_still_hears_that_it_shall_stop(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    project = gated_project(tmp_path / "project", pg_database)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    with closed_gate(pg_database):
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--json"))
        wait_for_statement(state_dir, REWRITE, run=2)
        child = child_of(state_dir, 2)
        soft = (state_dir / "runs" / "2.jsonl").stat().st_size  # from here on the journal cannot grow
        resource.prlimit(child, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
        os.kill(child, signal.SIGTERM)
        ended = live.end()
    assert ended.status == 1, ended
    assert ended.json["current_after"] == ["rev1"]
    assert "The run's record cannot be written: File too large." in ended.json["error"]


def test_event_that_does_not_fit_leaves_no_half_of_it_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    written = Journal(create(path), ())
    written.append(events.OutputPrinted(at=now(), text="first"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, before[1]))
        with pytest.raises(OSError, match="The run's record cannot be written: File too large"):
            written.append(events.OutputPrinted(at=now(), text="second" * 50))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handled)
    written.append(events.OutputPrinted(at=now(), text="third"))
    assert [event.text for event in Reader(path).read() if isinstance(event, events.OutputPrinted)] == [
        "first",
        "third",
    ]


def test_what_a_script_prints_is_seen_while_it_still_runs(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    said = Revision(
        id="rev1",
        down=None,
        message="Say and wait",
        upgrade='print("half of the rows are done")\nop.execute("SELECT pg_advisory_xact_lock(4711)")',
    )
    project = make_project(tmp_path / "project", (said,), pg_database.url)
    with closing(pg_database.server.connect(pg_database.name)) as keeper:
        keeper.cursor().execute("SELECT pg_advisory_xact_lock(4711)")
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--lock-timeout-seconds", 60))
        live.hears("half of the rows are done")
        keeper.rollback()
        assert live.end().status == 0


def test_line_that_nobody_would_read_is_cut_and_says_so(
    sqlite_database: SqliteDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    long = Revision(id="rev1", down=None, message="Print", upgrade='print("x" * 45_000)\nprint("y")')
    project = make_project(tmp_path / "project", (long,), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    printed = [event["text"] for event in named(journal(state_dir), "output-printed")]
    assert printed[-2:] == ["x" * 20_000 + " … 25,000 characters more", "y"]


def test_killed_run_that_had_room_for_last_words_has_said_none(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    project = gated_project(tmp_path / "project", pg_database)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    with closed_gate(pg_database):
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--json"))
        wait_for_statement(state_dir, REWRITE, run=2)
        os.kill(child_of(state_dir, 2), signal.SIGKILL)
        assert "ended without a report" in live.end().json["error"]
    eventually(lambda: not (state_dir / "runs" / "1.stderr").exists())  # of a run that ended well
