"""Twelve tenants at night: which of them is wrong is one command. A start-up script waits for its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
TENANTS = [f"tenant_{number:02}" for number in range(1, 13)]


def place(database: PostgresDatabase, tenant: str) -> str:
    return f"{database.url}?options=-csearch_path%3D{tenant}"


@pytest.fixture
def tenants(pg_database: PostgresDatabase, magetui: Magetui, own: Path, tmp_path: Path) -> AlembicProject:
    """Twelve targets of one project: one is behind, one has no version row, one lacks a table, one is away."""
    project = make_project(tmp_path / "project", linear(3), place(pg_database, TENANTS[0]))
    lines = []
    for tenant in TENANTS:
        url = place(pg_database, tenant)
        if tenant == TENANTS[11]:
            url = "postgresql://mage@127.0.0.1:9/away"
        else:
            pg_database.rows(f"create schema {tenant}")
            until = "rev2" if tenant == TENANTS[3] else "head"
            done = magetui("--config", project.ini, "--url", url, "migrate", "--yes", "--revision", until)
            assert done.status == 0, done
        lines.append(f'[targets.{tenant}]\nurl = "{url}"\nconfig = "{project.ini}"\n')
    pg_database.rows(f"delete from {TENANTS[5]}.alembic_version")
    pg_database.rows(f"drop table {TENANTS[8]}.t3")
    own.write_text("\n".join(lines))
    return project


@NEWEST
def test_of_twelve_tenants_three_are_wrong_and_one_is_away_on_one_screen(
    magetui: Magetui, tenants: AlembicProject, pg_database: PostgresDatabase
) -> None:
    found = magetui("diagnose", "--all")
    assert found.status == 3, found
    lines = found.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines[:15])) <= 80, found.stdout
    states = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:13]}
    assert list(states) == TENANTS
    assert states[TENANTS[0]] == "UP TO DATE rev3"
    assert states[TENANTS[3]] == "BEHIND BY 1 rev2 migrate"
    assert states[TENANTS[5]] == "EMPTY VERSION TABLE nothing stamp"
    assert states[TENANTS[8]] == "EVIDENCE CONTRADICTS rev3 evidence"
    assert states[TENANTS[11]] == "CANNOT CONNECT unknown"
    assert "12 targets: 8 healthy, 3 to act on, 1 not reached" in lines
    document = magetui("diagnose", "--all", "--json").json
    assert [one["name"] for one in document["targets"] if not one["healthy"]] == [TENANTS[i] for i in (3, 5, 8, 11)]
    schemas = magetui("--config", tenants.ini, "--url", pg_database.url, "diagnose", "--schemas", "tenant_0*")
    assert schemas.status == 3
    assert "9 targets: 6 healthy, 3 to act on" in schemas.stdout
    nothing = magetui("--config", tenants.ini, "--url", pg_database.url, "diagnose", "--schemas", "other_*")
    assert (nothing.status, nothing.stderr) == (2, "magetui: The database has no schema like 'other_*'.\n")


def test_a_start_up_script_waits_until_the_database_is_at_the_head(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    late = magetui("--config", project.ini, "diagnose", "--wait", "0.1")
    assert late.status == 3
    assert "2 revisions pending" in late.stderr
    waiting = magetui.start("--config", project.ini, "diagnose", "--wait", "60", "--json")
    assert magetui("--config", project.ini, "migrate", "--yes", "--wait", "5").status == 0
    ready = magetui.finish(waiting)
    assert (ready.status, ready.json["pending"]) == (0, [])


def test_a_pager_gets_the_run_as_json_when_it_has_ended(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    kept = tmp_path / "pager said.json"
    command = f"{sys.executable} -c 'import sys; open(sys.argv[1], \"w\").write(sys.stdin.read())' '{kept}'"
    done = magetui("--config", project.ini, "migrate", "--yes", "--notify-command", command)
    assert done.status == 0, done
    eventually(lambda: kept.exists() and kept.read_text(), 30)
    told = json.loads(kept.read_text())
    assert (told["verb"], told["outcome"], told["current_after"]) == ("migrate", "done", ["rev2"])


def test_a_pager_that_cannot_be_called_is_said_before_anything_runs(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(1), sqlite_database.url)
    refused = magetui("--config", project.ini, "migrate", "--yes", "--notify-command", "page 'me")
    assert refused.status == 2
    assert "notify_command cannot be split into words" in refused.stderr
    assert magetui("--config", project.ini, "diagnose", "--json").json["current"] == []
