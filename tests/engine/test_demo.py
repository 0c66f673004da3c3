"""The practice incidents are what they say they are, and what their stories tell to try does work."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from magetui.engine.demo.demo import SCENARIOS, STORIES, Demo, Scenario, build_demo
from magetui.engine.errors import UsageError
from magetui.verbs import verb
from tests.support.command import Magetui, Outcome
from tests.support.mage import CHECKOUT
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

PENDING = ["c46b8f03e7d1", "f7502be6a9c4"]
BEHIND, HEAD, UNKNOWN = "a3d95c7e1f28", PENDING[-1], "3fe8d1b64a05"

Verbs = Callable[..., Outcome]
Build = Callable[[str], tuple[Demo, Verbs]]


@pytest.fixture
def build(tmp_path: Path, magetui: Magetui) -> Iterator[Build]:
    """Builds a scenario; what comes with it runs verbs on it, as somebody who practises would."""
    demos: list[Demo] = []

    def built(scenario: str) -> tuple[Demo, Verbs]:
        demo = build_demo(scenario, tmp_path)
        demos.append(demo)

        def verbs(*arguments: object) -> Outcome:
            return magetui("--config", demo.config, *arguments, env=demo.environment(os.environ))

        return demo, verbs

    yield built
    for demo in demos:
        demo.close()


def codes(outcome: Outcome) -> list[str]:
    return [finding["code"] for finding in outcome.json["findings"]]


def rows(demo: Demo, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(demo.database)) as connection:
        return connection.execute(statement).fetchall()


def schema(verbs: Verbs) -> dict[str, Any]:
    """Every table's details by its name, without what depends on the rows in it or on who spelt the SQL."""
    details = {}
    for name in (table["name"] for table in verbs("schema", "--json").json["tables"]):
        [table] = verbs("schema", name, "--json").json["tables"]
        for one in table["columns"]:
            one["type"] = one["type"].lower()
        for index in table["indexes"]:
            index["definition"] = (index["definition"] or "").lower()
        details[name] = {key: table[key] for key in ("columns", "primary_key", "indexes", "foreign_keys")}
        details[name]["constraints"] = [
            (constraint["name"], constraint["kind"], constraint["columns"]) for constraint in table["constraints"]
        ]
    return details


def test_the_command_line_offers_every_scenario() -> None:
    assert verb("demo").parameters[0].choices == SCENARIOS


def test_a_scenario_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no scenario 'fire'. Choose one of: behind, unknown-revision"):
        build_demo("fire", tmp_path)


def test_behind_has_two_pending_revisions_that_migrate_runs(build: Build) -> None:
    _, verbs = build("behind")
    diagnosis = verbs("diagnose", "--json")
    assert (diagnosis.status, codes(diagnosis)) == (3, ["behind"])
    assert diagnosis.json["current"] == [BEHIND]
    assert diagnosis.json["pending"] == PENDING

    migrated = verbs("migrate", "--yes", "--json")
    assert (migrated.status, migrated.json["outcome"]) == (0, "done"), migrated
    assert migrated.json["current_after"] == [HEAD]
    assert codes(verbs("diagnose", "--json")) == ["up-to-date"]

    assert verbs("rollback", "--revision", "-1", "--yes").status == 0
    assert verbs("diagnose", "--json").json["pending"] == PENDING[1:]


def test_unknown_revision_is_stamped_away(build: Build) -> None:
    _, verbs = build("unknown-revision")
    diagnosis = verbs("diagnose", "--json")
    assert (diagnosis.status, codes(diagnosis)) == (3, ["unknown-revision"])
    assert diagnosis.json["current"] == [UNKNOWN]

    verified = verbs("verify")
    assert (verified.status, "The live schema equals the schema of" in verified.stdout) == (0, True), verified

    refused = verbs("migrate", "--yes")
    assert refused.status == 4, refused
    assert f"--replace-unknown-revision {UNKNOWN}" in refused.stderr

    stamped = verbs("stamp", "head", "--replace-unknown-revision", UNKNOWN, "--yes", "--json")
    assert (stamped.status, stamped.json["outcome"]) == (0, "done"), stamped
    assert codes(verbs("diagnose", "--json")) == ["up-to-date"]


def test_half_applied_fails_to_migrate_and_stays_as_it_was_until_it_is_cleared_up(build: Build) -> None:
    demo, verbs = build("half-applied")
    diagnosis = verbs("diagnose", "--json")
    assert diagnosis.status == 3
    assert codes(diagnosis) == ["evidence-contradicts", "leftover-table", "behind"]
    assert "is partially applied" in diagnosis.json["findings"][0]["message"]
    assert diagnosis.json["findings"][2]["next"] == "evidence", "it would fail"
    assert diagnosis.json["current"] == [BEHIND]

    assert (
        f"doubt   The schema does not match {BEHIND}. The schema matches no revision. Revision"
        in verbs("plan", "migrate").stdout
    )
    everything = "select type, name, sql from sqlite_master order by 1, 2"
    before = rows(demo, everything)
    failed = verbs("migrate", "--yes")
    assert failed.status == 1
    assert "table pause already exists" in failed.stdout
    assert f"The database is unchanged. Current revision: {BEHIND}." in failed.stdout
    assert rows(demo, everything) == before

    finished = verbs("finish", "--yes", "--json")
    assert (finished.status, finished.json["outcome"]) == (0, "done"), finished
    assert verbs("migrate", "--yes").status == 0
    assert codes(verbs("diagnose", "--json")) == ["up-to-date"]


def test_locked_makes_a_rollback_wait_for_a_process_that_it_names(build: Build) -> None:
    demo, verbs = build("locked")
    holder = demo.holder_pid
    assert holder is not None
    diagnosis = verbs("diagnose", "--json")
    assert diagnosis.json["current"] == [HEAD]
    [finding] = [f for f in diagnosis.json["findings"] if f["code"] == "blocking-sessions"]
    assert finding["facts"]["pids"] == [holder]

    waited = verbs("rollback", "--revision", "-1", "--lock-timeout-seconds", "4", "--yes")
    assert waited.status == 5, waited
    assert "WAITING for write lock on the database file" in waited.stderr
    assert f"blocker: {holder}  " in waited.stderr
    assert f"The database is unchanged. Current revision: {HEAD}." in waited.stdout

    demo.close()
    assert demo.holder is not None
    assert demo.holder.poll() is not None
    assert not demo.folder.exists()


def test_locked_can_be_rolled_back_once_its_holder_is_gone(build: Build) -> None:
    demo, verbs = build("locked")
    assert demo.holder is not None
    demo.holder.kill()
    demo.holder.wait()
    assert verbs("rollback", "--revision", "-1", "--yes").status == 0
    assert rows(demo, "select version_num from alembic_version") == [(PENDING[0],)]


def test_the_holder_goes_when_the_program_that_opened_the_demo_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from magetui.engine.demo.demo import build_demo\n"
        "demo = build_demo('locked', pathlib.Path(sys.argv[1]))\n"
        "print(demo.database, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        database = Path(process.stdout.readline().strip())
        assert not writable(database)
        process.kill()
    eventually(lambda: writable(database))


def writable(database: Path) -> bool:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("begin immediate")
        except sqlite3.OperationalError:
            return False
        return True


def test_the_shipped_state_is_what_the_chain_makes(build: Build) -> None:
    demo, verbs = build("behind")
    shipped, (head, head_verbs) = schema(verbs), build("locked")
    assert verbs("rollback", "--revision", "base", "--yes").status == 0
    assert rows(demo, "select name from sqlite_master where type = 'table'") == [("alembic_version",)]
    assert verbs("migrate", "--revision", BEHIND, "--yes").status == 0
    assert schema(verbs) == shipped
    assert verbs("migrate", "--yes").status == 0
    assert schema(verbs) == schema(head_verbs)
    assert rows(head, "select count(*) from task_run where started_by is not null")[0][0] > 1_000


def test_without_a_terminal_the_demo_says_what_to_type(magetui: Magetui, tmp_path: Path) -> None:
    told = magetui("demo", "unknown-revision", env={"TMPDIR": str(tmp_path)})
    assert told.status == 0, told
    [folder] = tmp_path.glob("magetui-unknown-revision-*")
    assert f"export XDG_STATE_HOME={folder / 'state'} " in told.stdout
    config = folder / "scheduler" / "alembic.ini"
    commands = [line.split()[1:] for line in told.stdout.splitlines() if line.startswith("magetui ")]
    assert commands[0] == ["--config", str(config), "diagnose"]
    assert magetui(*commands[0]).status == 3
    assert magetui(*commands[-1], "--yes").status == 0
    assert magetui(*commands[0]).status == 0


def test_without_a_terminal_a_locked_demo_stays_locked_for_a_while(magetui: Magetui, tmp_path: Path) -> None:
    told = magetui("demo", "locked", "--json", env={"TMPDIR": str(tmp_path)})
    assert told.status == 0, told
    assert not writable(Path(told.json["database"]))
    os.kill(told.json["holder"], 9)
    eventually(lambda: writable(Path(told.json["database"])))


@pytest.mark.parametrize("scenario", ["behind", "locked"])
def test_on_a_terminal_the_demo_opens_and_leaves_nothing_behind(tmp_path: Path, scenario: Scenario) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {"TMPDIR": str(folder)}
    with Terminal(Magetui.command("demo", scenario), size=(120, 40), env=environment, cwd=tmp_path) as terminal:
        terminal.wait_for("Remember who started a run")
        assert " ".join(STORIES[scenario].split()[:8]) in terminal.screen()
        [built] = folder.iterdir()
        assert writable(built / "scheduler" / "scheduler.db") == (scenario == "behind")
        terminal.press("q")
        assert terminal.wait_exit() == 0
    assert not list(folder.iterdir())
