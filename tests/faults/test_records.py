"""The records of runs: much output, many runs, files that are no records or somebody else's, files that go away."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from magetui.engine.errors import MagetuiError
from magetui.engine.runs.cancel import kill_run
from magetui.engine.runs.follow import earlier_steps
from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

CHATTER = """\
import sys
for number in range(100_000):
    print(f"line {number} " + "x" * 1000)
print("the last line")
"""


@pytest.fixture
def project(tmp_path: Path, sqlite_database: SqliteDatabase) -> AlembicProject:
    return make_project(tmp_path / "project", linear(3), sqlite_database.url)


@pytest.fixture
def runs(magetui: Magetui, project: AlembicProject, state_dir: Path) -> Path:
    """Three runs on record; return their directory."""
    for verb in (("migrate",), ("rollback", "--revision", "base"), ("migrate",)):
        assert magetui("--config", project.ini, *verb, "--yes").status == 0
    return state_dir / "runs"


def listed(magetui: Magetui) -> list[int]:
    done = magetui("runs", "--json")
    assert done.status == 0, done
    return [run["run"] for run in done.json["runs"]]


def test_a_hundred_megabytes_of_output_leave_a_small_record_with_its_beginning_and_end(
    magetui: Magetui, sqlite_database: SqliteDatabase, state_dir: Path, tmp_path: Path
) -> None:
    project = make_project(
        tmp_path / "chatter", (Revision("rev1", None, "chatter", CHATTER, "pass"),), sqlite_database.url
    )
    done = magetui("--config", project.ini, "migrate", "--yes", timeout=120)
    assert done.status == 0, done
    journal = state_dir / "runs" / "1.jsonl"
    assert journal.stat().st_size < 4_000_000
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    printed = [event["text"].partition(" x")[0] for event in events if event["event"] == "output-printed"]
    printed = printed[printed.index("line 0") :]  # before that, Alembic prints
    skipped = sum(event["lines"] for event in events if event["event"] == "output-skipped")
    assert printed[:2] == ["line 0", "line 1"]
    assert printed[-2:] == ["line 99999", "the last line"]
    assert len(printed) + skipped == 100_001
    report = magetui("runs", 1, "--report").stdout
    assert "are not on record" in report


def test_a_secret_at_the_place_where_a_long_line_is_cut_is_not_shown_in_part(
    magetui: Magetui, sqlite_database: SqliteDatabase, state_dir: Path, tmp_path: Path
) -> None:
    secret = "correct-horse-battery-staple"
    lines = "import os\n" + "\n".join(
        f"print('.' * {20_000 - shift} + os.environ['PGPASSWORD'] + '.' * {length})"
        for shift in (0, 1, 9, len(secret) - 1, -3_999, -3_990, -4_001)
        for length in (5, 50_000)
    )
    project = make_project(tmp_path / "secret", (Revision("rev1", None, "secret", lines, "pass"),), sqlite_database.url)
    done = magetui("--config", project.ini, "migrate", "--yes", env={"PGPASSWORD": secret})
    assert done.status == 0, done
    kept = (state_dir / "runs" / "1.jsonl").read_text()
    assert kept.count("characters more") >= 7
    for size in range(4, len(secret) + 1):
        assert secret[:size] not in kept, size


def test_what_is_no_record_is_skipped_with_a_word(magetui: Magetui, runs: Path, tmp_path: Path) -> None:
    deep = "[" * 100_000
    (runs / "4.jsonl").write_text("5\nnull\n[]\n{}\n" + deep + "\n\x00\n")
    (runs / "5.jsonl").mkdir()
    os.mkfifo(runs / "6.jsonl")
    (tmp_path / "secret").write_text("not for others")
    (runs / "7.jsonl").symlink_to(tmp_path / "secret")
    for name in ("007", "²", "-1", "1.5", "x", "99999999999999999999", "", "1 "):
        (runs / f"{name}.jsonl").write_text("")
    (runs / "2.summary").write_text('{"format": 1, "journal": [1], "record": {"run": 2}}')
    (runs / "3.summary").write_text(deep)
    (runs / "1.jsonl").write_text((runs / "1.jsonl").read_text() + "5\n" + deep + "\n")
    done = magetui("runs", "--json", timeout=20)
    assert done.status == 0, done
    assert [run["run"] for run in done.json["runs"]] == [3, 2, 1]
    assert [run["outcome"] for run in done.json["runs"]] == ["done"] * 3
    assert [
        sentence.split(" ")[4] for sentence in done.json["skipped"] if sentence.startswith("The record of run ")
    ] == ["4"]
    for number in (5, 6, 7):
        assert any(f"{number}.jsonl" in sentence for sentence in done.json["skipped"]), done
    assert "Traceback" not in done.stderr
    assert magetui("runs", 7).status == 1
    assert magetui("runs", 6, timeout=20).status == 1


@pytest.mark.parametrize("planted", ["written by others", "that names another process"])
def test_a_planted_record_ends_no_process(runs: Path, planted: str) -> None:
    victim = subprocess.Popen(["/bin/sleep", "600"])
    first = json.loads((runs / "3.jsonl").read_text().splitlines()[0])
    path = runs / "4.jsonl"
    path.write_text(json.dumps({**first, "run": 4, "pid": victim.pid}) + "\n")
    path.chmod(0o666 if planted == "written by others" else 0o600)
    holder = subprocess.Popen(["flock", str(path), "sleep", "600"])
    try:
        eventually(lambda: _locked(path), 20)
        with pytest.raises(MagetuiError, match=r"other users can write it|does not write the record of run 4"):
            kill_run(os.environ, 4)
        assert victim.poll() is None
    finally:
        for process in (victim, holder):
            process.kill()
            process.wait()


def _locked(path: Path) -> bool:
    return subprocess.run(["flock", "-n", str(path), "true"], check=False).returncode != 0


def test_records_and_their_directories_are_private_whatever_the_umask_says(
    project: AlembicProject, state_dir: Path, tmp_path: Path
) -> None:
    words = " ".join(Magetui.command("--config", project.ini, "migrate", "--yes"))
    done = subprocess.run(
        ["/bin/sh", "-c", f"umask 000; {words}"], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done
    for path in (state_dir, *state_dir.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_directory_of_records_that_is_a_link_of_another_user_is_refused(
    magetui: Magetui, project: AlembicProject, state_dir: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    state_dir.parent.mkdir(parents=True)
    state_dir.symlink_to(elsewhere)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0  # the operator's own link
    assert (elsewhere / "runs" / "1.jsonl").is_file()


def test_a_record_that_is_a_link_is_named_with_what_to_do(
    magetui: Magetui, project: AlembicProject, state_dir: Path, tmp_path: Path
) -> None:
    (state_dir / "runs").mkdir(parents=True, mode=0o700)
    planted = state_dir / "runs" / "1.jsonl"
    planted.symlink_to(tmp_path / "target")
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    assert not (tmp_path / "target").exists()
    shown = magetui("runs", 1)
    assert f"It is a link, perhaps planted by somebody. Look at it, and remove {planted}." in shown.stderr, shown


def test_old_records_are_deleted_by_their_number_and_size(
    magetui: Magetui, runs: Path, project: AlembicProject
) -> None:
    assert listed(magetui) == [3, 2, 1]
    assert (runs / "1.summary").is_file()
    done = magetui("runs", "--prune", "--keep-runs", 2)
    assert done.status == 0, done
    assert done.stdout.startswith("Deleted 1 record (run 1), ")
    assert done.stdout.endswith(" 2 are left.\n")
    assert listed(magetui) == [3, 2]
    assert not list(runs.glob("1.*"))
    assert magetui("runs", "--prune").stdout == "No record is beyond the limits. 2 are left.\n"
    done = magetui("rollback", "--revision", "-1", "--yes", "--config", project.ini, env={"MAGETUI_KEEP_RUNS": "1"})
    assert done.status == 0, done
    assert listed(magetui) == [4, 3]  # pruned before the new run
    with (runs / "3.jsonl").open("a") as file:
        file.write("x" * 2_000_000 + "\n")
    assert magetui("runs", "--prune", "--json", "--keep-megabytes", 1).json["pruned"]["runs"] == [3]
    assert magetui("runs", 1, "--prune").status == 2


def test_a_record_that_goes_away_during_the_run_does_not_keep_anyone_from_seeing_its_end(
    magetui: Magetui, sqlite_database: SqliteDatabase, state_dir: Path, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    lines = f"import os, time\nprint('waiting')\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.05)"
    project = make_project(tmp_path / "gone", (Revision("rev1", None, "gone", lines, "pass"),), sqlite_database.url)
    process = magetui.start("--config", project.ini, "migrate", "--yes")
    journal = state_dir / "runs" / "1.jsonl"
    eventually(lambda: journal.exists() and "waiting" in journal.read_text(), 30)
    for path in sorted(state_dir.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    gate.touch()
    done = magetui.finish(process)
    assert done.status == 0, done
    assert "Done." in done.stdout
    assert "Traceback" not in done.stderr


def test_the_report_stays_in_order_when_the_clock_was_set_back(magetui: Magetui, runs: Path) -> None:
    lines = (runs / "3.jsonl").read_text().splitlines()
    half = len(lines) // 2
    earlier = [json.loads(line) for line in lines]
    for event in earlier[half:]:
        hour = int(event["at"][11:13])
        event["at"] = f"{event['at'][:11]}{(hour - 1) % 24:02}{event['at'][13:]}"
    before = magetui("runs", 3, "--report").stdout.split("Events")[1].splitlines()
    (runs / "3.jsonl").write_text("".join(json.dumps(event) + "\n" for event in earlier))
    after = magetui("runs", 3, "--report").stdout.split("Events")[1].splitlines()
    assert [line[14:] for line in after[2:]] == [line[14:] for line in before[2:]]
    assert not [line for line in after if line.strip().startswith("-")]


def test_how_long_a_step_took_is_said_of_this_database_alone(
    magetui: Magetui, runs: Path, project: AlembicProject, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    assert runs.is_dir()
    step = ("rev2", "upgrade")
    assert earlier_steps(os.environ, sqlite_database.url, [step])[step].run == 3
    assert earlier_steps(os.environ, f"sqlite:///{tmp_path}/other.db", [step]) == {}
