"""A Mage that is installed as it comes, found through its launcher: what it is left as, and who goes first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.blocked import Sessions, sessions
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.environments import site_packages
from tests.support.journals import child_of
from tests.support.leaks import nowhere, of_process
from tests.support.live import Live
from tests.support.mage import COUNT, HEAD, VERSION, migrate_with_alembic
from tests.support.mage_environment import mage_environment, starting_mage
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mage,
    pytest.mark.timeout(600),  # it is installed once
    pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"]),
]

BEFORE = "42a14d6143f1"  # two revisions before the head; the next one wants a foreign key to user
BUSY = 'LOCK TABLE "user" IN ROW EXCLUSIVE MODE'  # as whoever writes to it does
AT_THE_MUTEX = """
SELECT l.granted, a.application_name, a.pid
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.objid = 1 AND a.datname = current_database()
ORDER BY l.granted DESC
"""
WRITTEN_IF_ANYTHING = ("_distutils_hack", "mage_ai/orchestration/db/migrations/versions")


@pytest.fixture(scope="session")
def mage_venv() -> Path:
    return mage_environment()


@pytest.fixture
def operator(mage_venv: Path, pg_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Mage's launcher on PATH, its database in the environment, Python as it is where nobody changed it; the URL."""
    monkeypatch.setenv("PATH", f"{mage_venv / 'bin'}{os.pathsep}{os.environ['PATH']}")
    url = pg_database.url.replace("postgresql://", "postgresql+psycopg2://")  # Mage has no other driver
    monkeypatch.setenv("MAGE_DATABASE_CONNECTION_URL", url)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        monkeypatch.delenv(name, raising=False)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    return url


@pytest.fixture
def crowd(pg_database: PostgresDatabase) -> Iterator[Sessions]:
    with sessions(pg_database) as made:
        yield made


def listing(home: Path) -> dict[Path, tuple[int, int]]:
    """Every file and folder: when it was changed, and its size."""
    found = {path: path.lstat() for path in (home, *home.rglob("*"))}
    return {path: (status.st_mtime_ns, status.st_size) for path, status in found.items()}


def test_mage_is_found_by_its_launcher_and_its_environment_stays_as_it_was(
    magetui: Magetui, operator: str, mage_venv: Path, pg_database: PostgresDatabase, state_dir: Path, tmp_path: Path
) -> None:
    assert find_spec("mage_ai") is None  # in ours
    for folder in WRITTEN_IF_ANYTHING:  # bytecode that is there already would hide that
        shutil.rmtree(site_packages(mage_venv) / folder / "__pycache__", ignore_errors=True)
    before = listing(mage_venv)
    assert magetui("history").stdout.count("\n") == COUNT
    found = magetui("diagnose", "--json")
    package = str(site_packages(mage_venv) / "mage_ai")
    assert found.json["project"] | {"kind": "mage", "version": VERSION, "location": package} == found.json["project"]
    assert [finding["code"] for finding in found.json["findings"]] == ["empty-database"]
    assert f"Done. Current revision: {BEFORE}." in magetui("migrate", "--revision", BEFORE, "--yes").stdout
    assert "Done. Current revision: b9a2d6d0a2c7." in magetui("rollback", "--revision", "-1", "--yes").stdout
    assert f"Done. Current revision: {BEFORE}." in magetui("stamp", BEFORE, "--yes").stdout
    assert pg_database.current == [BEFORE]
    assert "The schema matches b9a2d6d0a2c7" in magetui("evidence").stdout
    assert "Done. Current revision: b9a2d6d0a2c7." in magetui("stamp", "b9a2d6d0a2c7", "--yes").stdout
    assert f"Done. Current revision: {HEAD}." in magetui("migrate", "--yes").stdout
    assert magetui("diagnose").status == 0
    assert {path: status for path, status in listing(mage_venv).items() if before.get(path) != status} == {}
    assert listing(mage_venv).keys() == before.keys()
    nowhere([*magetui.outcomes, state_dir, tmp_path / "temporary", Path(os.environ["XDG_CACHE_HOME"], "magetui")])


def test_mage_that_starts_during_a_migration_waits_and_finds_its_work_done(
    magetui: Magetui,
    operator: str,
    mage_venv: Path,
    mage_home: Path,
    pg_database: PostgresDatabase,
    crowd: Sessions,
    state_dir: Path,
    tmp_path: Path,
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEFORE)
    writer = crowd.holding(BUSY)
    ours = Live(magetui.start("migrate", "--yes", "--lock-timeout-seconds", 120))
    ours.hears("WAITING for share row exclusive on user", 60)
    told = magetui("diagnose", "--json")
    assert "migration-running" in [finding["code"] for finding in told.json["findings"]]
    # From here on nothing slow: Mage waits for 30 seconds at most.
    mage = Live(starting_mage(mage_venv, operator, tmp_path / "mage"))
    eventually(lambda: len(pg_database.rows(AT_THE_MUTEX)) == 2, 60, lambda: mage.stderr)
    [holds, waits] = pg_database.rows(AT_THE_MUTEX)
    assert (holds[0], waits[:2]) == (True, (False, "")), (holds, waits)
    assert holds[1].startswith("magetui run 1 mutex")
    nowhere([*of_process(child_of(state_dir), os.environ), tmp_path / "temporary"])
    writer.rollback()
    migrated, started = ours.end(), mage.end()
    assert (migrated.status, started.status) == (0, 0), f"{migrated}\n{started}"
    assert f"Done. Current revision: {HEAD}." in migrated.stdout
    assert "Running upgrade" not in started.stderr
    assert "Will assume transactional DDL" in started.stderr  # it did look
    assert pg_database.current == [HEAD]
    assert magetui("verify", "--yes").status == 0


def test_migration_during_a_starting_mage_names_it_and_gives_up_or_waits_its_turn(
    magetui: Magetui,
    operator: str,
    mage_venv: Path,
    mage_home: Path,
    pg_database: PostgresDatabase,
    crowd: Sessions,
    tmp_path: Path,
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEFORE)
    writer = crowd.holding(BUSY)
    mage = Live(starting_mage(mage_venv, operator, tmp_path / "mage"))
    mage.hears(f"Running upgrade {BEFORE} -> 0227396a216c", 60)
    [(granted, _, pid)] = pg_database.rows(AT_THE_MUTEX)
    assert granted
    found = magetui("diagnose", "--json").json["findings"]
    [running] = [finding for finding in found if finding["code"] == "migration-running"]
    assert running["facts"]["pid"] == pid
    given_up = magetui("migrate", "--yes", "--lock-timeout-seconds", 1)
    assert given_up.status == 5, given_up
    assert f"blocker: {pid}  mage" in given_up.stderr
    assert f"Session {pid}" in given_up.stdout
    assert "holds the migration lock and did not release it within 1 s" in given_up.stdout
    assert f"The database is unchanged. Current revision: {BEFORE}." in given_up.stdout
    ours = Live(magetui.start("migrate", "--yes", "--lock-timeout-seconds", 120))
    ours.hears("WAITING for the migration lock, up to 2 min", 60)
    writer.rollback()
    started, migrated = mage.end(), ours.end()
    assert (started.status, migrated.status) == (0, 0), f"{started}\n{migrated}"
    assert f"Running upgrade 0227396a216c -> {HEAD}" in started.stderr
    assert f"Done. Current revision: {HEAD}." in migrated.stdout
    assert pg_database.current == [HEAD]
    assert magetui("verify", "--yes").status == 0
