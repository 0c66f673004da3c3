"""The drill without a person: every `next` of the diagnosis is followed, and nothing else, until all is well."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.drill.build import held
from tests.drill.cases import CASES, Case, Place
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.postgres import USER

pytestmark = pytest.mark.slow

MOST_STEPS = 6


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def broken(
    case: Case, magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, sqlite_database: SqliteDatabase
) -> Iterator[Place]:
    """Yield the broken database of the case, with the session that holds it up."""
    database: Database = pg_database if case.dialect == "postgresql" else sqlite_database
    place = case.build(magetui, tmp_path / "project", database)
    with ExitStack() as stack:
        if case.holds is not None:
            stack.enter_context(pg_database.session(held(case, place), "reporting"))
        yield place
    role = f"app_{pg_database.name}"
    if pg_database.rows(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
        pg_database.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")


class Operator:
    """Somebody who knows nothing but what the program says, and does exactly that."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.url = place.database.url
        self.done: list[str] = []

    def type(self, *arguments: object) -> Any:
        self.done.append(" ".join(map(str, arguments)))
        return self.place.magetui("--config", self.place.project.ini, "--url", self.url, *arguments)

    def recover(self) -> None:
        """Follow the first finding that has a next step, until nothing needs an action."""
        for _ in range(MOST_STEPS):
            found = self.type("diagnose", "--json")
            if found.status == 0:
                return
            urgent = [f for f in found.json["findings"] if f["severity"] in ("critical", "warning")]
            finding = next((f for f in urgent if f["next"]), None)
            assert finding is not None, found
            self.follow(finding)
        raise AssertionError(f"not recovered after {self.done}")

    def follow(self, finding: dict[str, Any]) -> None:
        facts = finding["facts"]
        match finding["next"]:
            case "migrate":
                self.migrate()
            case "stamp":
                self.stamp(facts["fits"][0], facts.get("current"))
            case "evidence":
                command = self.type("evidence", "--json").json["next"]
                words = shlex.split(command.removeprefix("magetui ").removeprefix("plan "))
                self.must(*words, "--yes")
            case "locks":
                for pid in facts.get("pids") or [facts["pid"]]:
                    self.must("locks", "--terminate", pid, "--yes")
            case "connect":
                password = self.url.partition(f"{USER}:")[2].partition("@")[0]
                self.url = facts["urls"][0].replace("***", password)
            case "history":
                self.must("migrate", "--revision", "heads", "--yes")
            case "diagnose":
                self.place.sql(*facts["sql"])
            case verb:
                self.must(verb, "--yes")

    def migrate(self) -> None:
        ended = self.type("migrate", "--yes", "--lock-timeout-seconds", 1)
        if ended.status == 5:  # the conclusion names the blocker, and 'locks' ends it
            sessions = self.type("locks", "--json").json["sessions"]
            for session in sessions:
                if session["holds"]:
                    self.must("locks", "--terminate", session["pid"], "--yes")
            ended = self.type("migrate", "--yes")
        assert ended.status == 0, ended

    def stamp(self, revisions: list[str], unknown: Any) -> None:
        [revision] = revisions or ["base"]
        instead = ["--replace-unknown-revision", unknown] if isinstance(unknown, str) else []
        self.must("stamp", revision, *instead, "--yes")

    def must(self, *arguments: object) -> None:
        done = self.type(*arguments)
        assert done.status == 0, done


def test_every_next_step_leads_to_a_recovered_database(case: Case, broken: Place) -> None:
    operator = Operator(broken)
    operator.recover()
    healthy = operator.type("diagnose", "--json").json
    assert sorted(healthy["current"]) == sorted(case.result), operator.done
    assert healthy["pending"] == []
    if case.recovered is not None:
        assert broken.database.rows(case.recovered)
    evidence = operator.type("evidence", "--json").json
    assert evidence["current_matches"] is True, operator.done
