"""No credential leaves the program: on no stream, in no journal, among no child's arguments."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.alembic_project import Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.gate import REWRITE, closed_gate, gated_project
from tests.support.journals import child_of, wait_for_statement
from tests.support.leaks import nowhere, of_process
from tests.support.live import Live
from tests.support.postgres import PASSWORD

pytestmark = pytest.mark.slow


def test_child_is_not_started_with_the_password(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    project = gated_project(tmp_path / "project", pg_database)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    with closed_gate(pg_database) as gate:
        live = Live(magetui.start("--config", project.ini, "--url", pg_database.url, "migrate", "--yes"))
        wait_for_statement(state_dir, REWRITE, run=2)
        child = child_of(state_dir, 2)
        assert "magetui.runner" in Path(f"/proc/{child}/cmdline").read_text()
        # Nor does the server show it to others.
        [(shown,)] = pg_database.rows("SELECT string_agg(query || application_name, ' ') FROM pg_stat_activity")
        nowhere([*of_process(child, {}), shown])
        gate.rollback()
        ended = live.end()
    assert ended.status == 0
    assert " on mage@" in ended.stdout
    nowhere([ended, state_dir])


@pytest.mark.parametrize("source", ["--url", "environment", "query", "unencoded", "DB_PASS"])
def test_password_is_hidden_wherever_it_came_from(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path, state_dir: Path, source: str
) -> None:
    place = f"127.0.0.1:{pg_database.server.port}/{pg_database.name}"
    in_query = f"postgresql://mage@{place}?password={quote(PASSWORD, safe='')}"
    unencoded = f"postgresql://mage:{PASSWORD}@{place}"
    flags: tuple[object, ...] = ()
    environment: dict[str, str] = {}
    if source == "DB_PASS":
        environment = {
            "DB_USER": "mage",
            "DB_PASS": PASSWORD,
            "DB_NAME": pg_database.name,
            "DB_PORT": str(pg_database.server.port),
        }
    elif source == "environment":
        environment = {"MAGE_DATABASE_CONNECTION_URL": pg_database.url}
    else:
        flags = ("--url", {"--url": pg_database.url, "query": in_query, "unencoded": unencoded}[source])
    common = ("--mage-path", mage_home, *flags)
    for verb in (("diagnose",), ("migrate", "--yes"), ("plan", "rollback", "--revision", "-1"), ("runs",)):
        for shape in ((), ("--json",)):
            told = magetui(*common, *shape, *verb, env=environment)
            assert told.status == (3 if verb == ("diagnose",) else 0), told
            nowhere([told, *state_dir.glob("runs")])


def test_script_that_tells_the_password_is_not_repeated(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    talkative = Revision(
        id="rev2",
        down="rev1",
        message="Tell it all",
        upgrade=(
            "from alembic import context\nimport sys\n"
            'url = context.config.get_main_option("sqlalchemy.url")\n'
            "print(url)\nprint(sa.make_url(url).password, file=sys.stderr)\n"
            'op.execute(sa.text("SELECT :p").bindparams(p=sa.make_url(url).password))\n'
            'raise RuntimeError(f"cannot go on with {url}, {sa.make_url(url).password}")'
        ),
    )
    project = make_project(tmp_path / "project", (*linear(1), talkative), pg_database.url)
    failed = magetui("--config", project.ini, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "RuntimeError: cannot go on with postgresql://mage:***@" in failed.stdout
    assert "  | postgresql://mage:***@" in failed.stderr
    planned = magetui("--config", project.ini, "plan", "migrate")
    kept = Path(os.environ["XDG_CACHE_HOME"], "magetui")
    assert list(kept.rglob("*.json"))
    nowhere([failed, planned, state_dir, kept])


@pytest.mark.parametrize("database", ["no_such_database", "postgres"])
def test_wrong_url_is_complained_about_without_the_password(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path, state_dir: Path, database: str
) -> None:
    wrong = pg_database.server.url(database)
    if database == "postgres":
        wrong = wrong.replace("@", "0@")
    for verb in (("diagnose",), ("migrate", "--yes"), ("schema",), ("locks",)):
        told = magetui("--mage-path", mage_home, "--url", wrong, *verb)
        assert told.status in (1, 3), told
        nowhere([told, *state_dir.glob("runs")])
        cause = "does not exist" if database != "postgres" else "password authentication failed"
        assert cause in " ".join((told.stdout + told.stderr).split())


def test_usage_error_does_not_repeat_what_was_typed(magetui: Magetui, state_dir: Path) -> None:
    told = magetui("diagnose", f"--ulr=postgresql://mage:{PASSWORD}@db/mage")
    assert told.status == 2
    nowhere([told, *state_dir.glob("runs")])


def test_journals_are_for_their_owner_alone(magetui: Magetui, mage_home: Path, tmp_path: Path, state_dir: Path) -> None:
    url = f"sqlite:///{tmp_path}/data.db"
    assert magetui("--mage-path", mage_home, "--url", url, "migrate", "--revision", "c07a", "--yes").status == 0
    paths = [state_dir / "runs", *(state_dir / "runs").iterdir()]
    assert {path.name for path in paths} == {"runs", "1.jsonl", "1.summary", "1.scripts.json"}
    for path in paths:
        assert path.stat().st_mode & 0o077 == 0
