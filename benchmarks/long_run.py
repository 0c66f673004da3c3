"""Run a migration of ten minutes that loses its screen halfway. No test has time for such a long run.

Run it with `uv run python -m benchmarks.long_run`. `--rows N` makes it shorter (100,000 rows take about 20 seconds). It
starts a PostgreSQL 16 and migrates from the screen in a pseudo-terminal. In one transaction, the chain fills a table,
updates it, rewrites it by a change of type, indexes it and rewrites it again. Halfway the benchmark kills the program
(SIGKILL) and closes its terminal. It opens `magetui` again, which offers the run and follows it to its end.

All targets must be met. The journal is complete: it keeps every byte from before the kill, each step and statement
starts and ends once and in order, and the run starts and ends once. The outcome is "done". The version table and the
rows are those of the head. The benchmark also prints times, memory and the journal's size.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui
from tests.support.journals import Event, journal, moment, named
from tests.support.postgres import PostgresServer
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

ROWS = 2_400_000  # about ten minutes if one row takes 250 µs in all
HALF_WAY = 4  # the program is killed in a statement of this step, after two of the four expensive steps
END_SECONDS = 3 * 3600  # longer than any machine needs
SIZE = (100, 30)
WORK = "md5(repeat(note, 1000))"  # about 50 µs per row, so that a long run needs processor time and not gigabytes

FILL = """\
create table reading (id bigint primary key, note text not null);
insert into reading select n, md5(n::text) from generate_series(1, {rows}) as n"""
STEPS = (
    ("rev1", "Create reading", FILL),
    ("rev2", "Sign each note", f"update reading set note = {WORK}"),
    ("rev3", "Notes of limited length", f"alter table reading alter column note type varchar(32) using {WORK}"),
    (
        "rev4",
        "Find notes by their sign",
        f"create index reading_sign on reading ({WORK.replace('note', 'note::text')})",
    ),
    ("rev5", "Notes are unique numbers", f"alter table reading alter column note type uuid using {WORK}::uuid"),
)


def main() -> int:
    """Measure and print. The exit status is 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"the number of rows (default: {ROWS})")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder, PostgresServer(16, {"max_wal_size": "8GB"}) as server:
        url = server.create_database("long")
        project = make_project(Path(folder, "project"), _chain(rows), url)
        environment: dict[str, str | None] = {
            "XDG_STATE_HOME": folder,
            "XDG_CONFIG_HOME": folder,
            "PYTHONDONTWRITEBYTECODE": None,
        }
        state = Path(folder, "magetui")
        path = state / "runs" / "1.jsonl"
        command = Magetui.command("--config", project.ini)

        _start_and_kill(command, environment, state)
        before = path.read_bytes()
        at_kill = time.time()
        offered, attached, memory, written = _follow_to_the_end(command, environment, state)

        after, events = path.read_bytes(), journal(state)
        ended = events[-1]
        current = [row[0] for row in server.execute("long", "select version_num from alembic_version")]
        [(count,)] = server.execute("long", "select count(*) from reading")
    checks = {
        "the journal keeps every byte from before the kill": after.startswith(before),
        "the run starts and ends once, at the journal's ends": _is_framed(events),
        "every step starts and ends once, in order": _is_in_order(events),
        "every statement starts and ends once, in order": _statements_are_complete(events),
        "the run continued after the kill": moment(ended) > at_kill,
        "the outcome is done": ended.get("outcome") == "done",
        "the current revision is the head": current == [STEPS[-1][0]] == ended.get("current"),
        "all rows exist": count == rows,
    }
    started = moment(events[0])
    print(f"rows                  {rows:10,}")
    print(f"run                   {moment(ended) - started:10.1f} s")
    for step in named(events, "step-ended"):
        print(f"  {step['revision']:<20}{step['elapsed_ms'] / 1000:10.1f} s")
    print(f"killed after          {at_kill - started:10.1f} s, in step {HALF_WAY}")
    print(f"offered again after   {offered:10.1f} s from starting the program")
    print(f"on screen again after {attached:10.1f} s")
    print(f"journal               {len(after):10,} bytes, {len(events)} events, {len(before)} bytes at the kill")
    print(f"screen at the end     {memory:10.0f} MB, {written:.0f} bytes/s while following")
    for name, passed in checks.items():
        print(f"{'ok    ' if passed else 'FAILED'} {name}")
    return 0 if all(checks.values()) else 1


def _chain(rows: int) -> list[Revision]:
    downs = [None, *(name for name, _, _ in STEPS)]
    return [
        Revision(id=name, down=down, message=message, upgrade=f'op.execute("""{sql.format(rows=rows)}""")')
        for down, (name, message, sql) in zip(downs, STEPS, strict=False)
    ]


def _start_and_kill(command: list[str], environment: dict[str, str | None], state: Path) -> None:
    """Start the run on the screen. Kill the program and close the terminal in the middle of a statement."""
    with Terminal(command, SIZE, environment) as terminal:
        terminal.wait_for("4 Log", 60)
        terminal.wait_for("diagnose", 60)
        terminal.press("m")
        terminal.wait_for(r"Do it\? The default is no")
        terminal.press("y")
        terminal.wait_quiet()
        terminal.press("enter")
        terminal.wait_for(r"Run 1 · migrate", 60)
        eventually(lambda: _runs_statement_of(state, HALF_WAY), END_SECONDS)
        terminal.wait_for(rf"step {HALF_WAY} of {len(STEPS)}")
        os.kill(terminal.pid, signal.SIGKILL)
        terminal.wait_exit()
        terminal.hang_up()


def _runs_statement_of(state: Path, step: int) -> bool:
    events = journal(state)
    if named(events, "run-ended"):
        raise RuntimeError(f"the run ended before the kill: {events[-1]}")
    steps = named(events, "step-started")
    if not steps or steps[-1]["number"] < step:
        return False
    return any(event["event"] == "statement-started" for event in events[events.index(steps[-1]) :])


def _follow_to_the_end(
    command: list[str], environment: dict[str, str | None], state: Path
) -> tuple[float, float, float, float]:
    """Follow the run to its end in a new program.

    Returns the seconds until the program offers the run, the seconds until it shows the run, the resident memory in MB,
    and the bytes per second written to the terminal.
    """
    started = time.monotonic()
    with Terminal(command, SIZE, environment) as terminal:
        terminal.wait_for(r"Run 1 \(migrate\) continues", 60)
        offered = time.monotonic() - started
        terminal.press("u")
        terminal.wait_for("1 on record")
        terminal.press("enter")
        terminal.wait_for(rf"step [{HALF_WAY}-{len(STEPS)}] of {len(STEPS)}")
        attached = time.monotonic() - started
        if named(journal(state), "run-ended"):
            raise RuntimeError("the run ended before the program followed it again: use more rows")
        followed, written = time.monotonic(), len(terminal.output)
        terminal.wait_for(rf"Done\. The database now says {STEPS[-1][0]}", END_SECONDS)
        rate = (len(terminal.output) - written) / (time.monotonic() - followed)
        memory = _resident_mb(terminal.pid)
        terminal.press("ctrl+q")
        if terminal.wait_exit() != 0:
            raise RuntimeError("the program failed at its end")
    return offered, attached, memory, rate


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


# -- checks of the journal


def _is_framed(events: list[Event]) -> bool:
    frame = [event["event"] for event in events if event["event"] in ("run-started", "run-ended")]
    return frame == ["run-started", "run-ended"] == [events[0]["event"], events[-1]["event"]]


def _is_in_order(events: list[Event]) -> bool:
    actual = [
        (event["event"], event["number"], event["revision"])
        for event in events
        if event["event"] in ("step-started", "step-ended")
    ]
    expected = [
        (event, number, name)
        for number, (name, _, _) in enumerate(STEPS, start=1)
        for event in ("step-started", "step-ended")
    ]
    return actual == expected


def _statements_are_complete(events: list[Event]) -> bool:
    names = ("statement-started", "statement-ended")
    actual = [(event["event"], event["number"]) for event in events if event["event"] in names]
    started = [number for name, number in actual if name == "statement-started"]
    return actual == [(name, number) for number in started for name in names] and _are_consecutive(started)


def _are_consecutive(numbers: Iterable[int]) -> bool:
    return all(later == earlier + 1 for earlier, later in pairwise(numbers))


if __name__ == "__main__":
    sys.exit(main())
