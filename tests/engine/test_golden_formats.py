"""Journals and caches of format 1, as the version that wrote them left them, are read for ever."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magetui.engine.evidence.recording import record_revisions
from magetui.engine.runs.follow import read_events, read_run
from magetui.engine.runs.record import RunRecord
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.protocol import codec, events
from magetui.protocol.requests import RecordRequest
from magetui.runner.barrier import Barrier
from magetui.runner.recorder import record
from magetui.text.run_report import report
from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui

GOLDEN = Path(__file__).parents[1] / "golden" / "format-1"
RECORDS: dict[str, dict[str, Any]] = json.loads((GOLDEN / "records.json").read_text())
FIELDS = {"marker": "current", "target": "target_revision"}


@pytest.fixture
def golden_runs(state_dir: Path) -> Path:
    """The state directory with the journals of format 1."""
    shutil.copytree(GOLDEN / "runs", state_dir / "runs")
    return state_dir / "runs"


def facts(record: RunRecord) -> dict[str, Any]:
    """What the version of format 1 read from a journal."""
    return {
        "verb": record.verb,
        "outcome": record.outcome,
        "target_revision": record.target_revision,
        "before": list(record.current_before),
        "after": None if record.current_after is None else list(record.current_after),
        "steps": [[step.revision, step.direction, step.state] for step in record.steps],
        "statements": record.statements,
        "blockers": [session.pid for session in record.blockers],
        "attempts": len(record.attempts),
        "signals": [[signal.action, signal.session.pid] for signal in record.signals],
        "error": record.error,
        "committed": record.committed,
        "database": record.database,
        "user": record.user,
        "output_lines": record.output_lines,
    }


@pytest.mark.parametrize("run", RECORDS, ids=lambda run: f"{run}-{RECORDS[run]['verb']}-{RECORDS[run]['outcome']}")
def test_a_journal_of_format_1_folds_into_the_facts_that_its_version_read(golden_runs: Path, run: str) -> None:
    lines = [json.loads(line) for line in (golden_runs / f"{run}.jsonl").read_text().splitlines()]
    record = read_run(os.environ, int(run))
    expected = RECORDS[run]
    if not any(line["event"] == "run-ended" for line in lines):
        assert record.error  # nothing in the journal says it: the sentence is this version's own
        expected = {**expected, "error": record.error}
    assert facts(record) == expected


def is_within(old: Any, new: Any) -> bool:
    """Return whether the new value has all that the old one has; a later format may have more fields."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and is_within(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(is_within, old, new))
    return bool(old == new)


@pytest.mark.parametrize("run", RECORDS)
def test_every_field_of_a_journal_of_format_1_is_read(golden_runs: Path, run: str) -> None:
    lines = [json.loads(line) for line in (golden_runs / f"{run}.jsonl").read_text().splitlines()]
    read = read_events(os.environ, int(run))
    assert len(read) == len(lines)
    for event, line in zip(read, sorted(lines, key=lambda line: str(line["at"])), strict=True):
        written = json.loads(events.encode(event))
        renamed = {FIELDS.get(name, name): value for name, value in line.items()}
        assert is_within(renamed, written)
        assert events.decode(events.encode(event)) == event  # and what is written of it in format 2 is the same


def test_a_journal_says_its_format_and_one_that_does_not_is_of_format_1(golden_runs: Path) -> None:
    started = next(event for event in read_events(os.environ, 1) if isinstance(event, events.RunStarted))
    assert started.format == 1
    assert codec.FORMAT == 2
    made = events.RunStarted(
        "2026-01-01T00:00:00Z", 1, "migrate", "rev1", (), (), "sqlite://", "p", 1, "mage", "db1", 1, 0
    )
    line = json.loads(events.encode(made))
    assert (line["format"], line["current"], line["target_revision"]) == (2, [], "rev1")
    assert not line.keys() & FIELDS.keys()


def test_an_event_and_a_field_of_a_later_format_are_passed_over(golden_runs: Path) -> None:
    path = golden_runs / "1.jsonl"
    before = read_events(os.environ, 1)
    started, *others = path.read_text().splitlines()
    later = [json.dumps({**json.loads(started), "colour": {"a": [1]}}), '{"event":"sun-rose","at":"x"}', "[]", "7"]
    path.write_text("\n".join([*later, *others]) + "\n")
    assert read_events(os.environ, 1) == before


def test_the_command_line_lists_and_reports_runs_of_format_1(golden_runs: Path, magetui: Magetui) -> None:
    listed = {str(run["run"]): run for run in magetui("runs", "--json").json["runs"]}
    assert listed.keys() == RECORDS.keys()
    for run, expected in RECORDS.items():
        found = listed[run]
        assert (found["verb"], found["outcome"], found["target"], found["current_before"], found["current_after"]) == (
            *(expected[name] for name in ("verb", "outcome", "target_revision", "before", "after")),
        )
    reported = magetui("runs", "2", "--report")
    assert reported.status == 0, reported
    assert RECORDS["2"]["target_revision"] in reported.stdout


@pytest.mark.parametrize("run", RECORDS)
def test_a_run_of_format_1_is_reported(golden_runs: Path, run: str) -> None:
    number = int(run)
    text = "\n".join(report(read_run(os.environ, number), read_events(os.environ, number)))
    expected = RECORDS[run]
    assert expected["verb"] in text
    assert expected["target_revision"] in text
    assert re.sub(r"\s+", "", expected["database"]) in re.sub(r"\s+", "", text)


# -- the cache of recorded operations

TABLE = 'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True))'
GOLDEN_CACHE = json.loads((GOLDEN / "operations.json").read_text())


def as_format_1(cache: Any) -> Any:
    """The entries as format 1 laid them out, with the digests that are right."""
    return {
        revision: {
            "script": entry["script"],
            "upgrade": {"operations": [], "undecidable": None},
            "downgrade": {"operations": [], "undecidable": None},
        }
        for revision, entry in cache["entries"].items()
    }


def with_entry(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda cache: {**cache, "entries": {revision: change(e) for revision, e in cache["entries"].items()}}


def emptied(entry: Any) -> Any:
    """The entry, well formed, of a script that does nothing."""
    nothing: dict[str, Any] = {"operations": [], "undecidable": None}
    return {**entry, "recording": {**entry["recording"], "upgrade": nothing}}


UNUSABLE: dict[str, Callable[[Any], Any]] = {
    "the golden file": lambda _cache: GOLDEN_CACHE,
    "format 1": as_format_1,
    "format 1 in the layout of 2": lambda cache: {**with_entry(emptied)(cache), "format": 1},
    "a future format": lambda cache: {**with_entry(emptied)(cache), "format": 3},
    "no format": lambda cache: {"entries": with_entry(emptied)(cache)["entries"]},
    "no entries": lambda _cache: {"format": 2},
    "a list": lambda cache: [cache],
    "null": lambda _cache: None,
    "a list of entries": lambda cache: {**cache, "entries": list(cache["entries"].values())},
    "entries that are null": with_entry(lambda _entry: None),
    "entries without a digest": with_entry(lambda entry: {"recording": emptied(entry)["recording"]}),
    "entries without a recording": with_entry(lambda entry: {"script": entry["script"]}),
    "an operation of another kind": with_entry(
        lambda entry: {
            **entry,
            "recording": {
                **entry["recording"],
                "upgrade": {"operations": [{"kind": "paint-table", "table": "item"}]},
            },
        }
    ),
    "an operation without its table": with_entry(
        lambda entry: {
            **entry,
            "recording": {**entry["recording"], "upgrade": {"operations": [{"kind": "drop-table", "schema": None}]}},
        }
    ),
}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A project of one revision, recorded in this process: a child would take seconds to start."""

    def ask(_workspace: Workspace, request: RecordRequest, _doing: str) -> Any:
        return json.loads(json.dumps(codec.encode(record(request, Barrier()))))

    monkeypatch.setattr(Workspace, "ask", ask)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = make_project(tmp_path / "project", [Revision("rev1", None, "One", TABLE)], "sqlite://")
    return Workspace(Selection(config=str(project.ini), trust=True))


def cache_files(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / "magetui" / "operations").iterdir())


@pytest.mark.parametrize("unusable", UNUSABLE.values(), ids=UNUSABLE)
def test_a_cache_of_another_format_or_shape_is_rebuilt(
    tmp_path: Path, workspace: Workspace, unusable: Callable[[Any], Any]
) -> None:
    made = record_revisions(workspace, ["rev1"])
    assert made["rev1"].upgrade.operations
    [file] = cache_files(tmp_path)
    written = file.read_text()
    file.write_text(json.dumps(unusable(json.loads(written))))
    assert record_revisions(workspace, ["rev1"]) == made
    assert file.read_text() == written


@pytest.mark.parametrize("length", [0, 1, 20, -1])
def test_a_cache_that_was_cut_short_is_rebuilt(tmp_path: Path, workspace: Workspace, length: int) -> None:
    made = record_revisions(workspace, ["rev1"])
    [file] = cache_files(tmp_path)
    written = file.read_bytes()
    for damaged in (written[:length], written[:length] + b"\xff"):
        file.write_bytes(damaged)
        assert record_revisions(workspace, ["rev1"]) == made
        assert file.read_bytes() == written


def test_a_cache_that_is_usable_is_used(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    record_revisions(workspace, ["rev1"])
    [file] = cache_files(tmp_path)
    file.write_text(json.dumps(with_entry(emptied)(json.loads(file.read_text()))))
    assert record_revisions(workspace, ["rev1"])["rev1"].upgrade.operations == ()  # so a wrong one would show above
    monkeypatch.setattr(codec, "FORMAT", 3)
    assert record_revisions(workspace, ["rev1"])["rev1"].upgrade.operations  # under another name
    assert len(cache_files(tmp_path)) == 2
