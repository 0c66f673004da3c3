"""mlflow's whole chain, which only its own environment can import, goes up and down as Alembic takes it there.

How far down is mlflow's own affair: half of its scripts take nothing back, and two fail, with Alembic as with us.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.environments import site_packages
from tests.support.leaks import nowhere
from tests.support.mlflow import COUNT, SCRIPTS, asking, mlflow_environment, write_configuration
from tests.support.steps import Schema, walking

pytestmark = pytest.mark.slow

HEAD = "dc11669786a5"
DEPENDED_ON = "cannot drop table registered_models because other objects depend on it"
GENERATED = 'cannot INSERT into generated column "duration_ns"'


@pytest.fixture(scope="session")
def mlflow_venv() -> Path:
    return mlflow_environment()


@pytest.mark.timeout(600)  # it is installed once
@pytest.mark.parametrize(
    ("database", "floor", "fails"),
    [(18, "2b4d017a5e9b", DEPENDED_ON), ("sqlite", "c8d9e0f1a2b3", GENERATED)],
    indirect=["database"],
    ids=["pg18", "sqlite"],
)
def test_mlflow_goes_up_and_down_through_its_own_env_py(
    magetui: Magetui,
    mlflow_venv: Path,
    database: Database,
    tmp_path: Path,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    floor: str,
    fails: str,
) -> None:
    assert find_spec("mlflow") is None  # in ours
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    scripts = site_packages(mlflow_venv) / SCRIPTS
    urls = [with_driver(one) for one in (database, twin_of(database))]
    folders = [tmp_path / name for name in ("ours", "alembic")]
    for folder, url in zip(folders, urls, strict=True):
        write_configuration(folder, site_packages(mlflow_venv), url, importable=False)
        (folder / ".venv").symlink_to(mlflow_venv)

    def run(*words: str, status: int = 0) -> str:
        done = magetui(*words, cwd=folders[0])
        assert done.status == status, done
        return done.stdout

    with asking(mlflow_venv, folders[1]) as ask:
        assert [ask("tables", url) for url in urls] == ["done\n", "done\n"]
        assert run("history").count("\n") == COUNT
        told = magetui("diagnose", "--json", cwd=folders[0]).json
        assert told["project"]["python"] == str(folders[0] / ".venv" / "bin" / "python")
        assert len(told["pending"]) == COUNT

        assert f"Done. Current revision: {HEAD}." in run("migrate", "--yes")
        assert ask("upgrade", "head") == "done\n"
        assert schema(urls[0], scripts) == schema(urls[1], scripts)

        before = database.content
        failed = run("rollback", "--revision", "base", "--yes", status=1)
        assert fails in failed
        assert f"At {scripts / 'versions' / floor}_" in failed
        assert f"The database is unchanged. Current revision: {HEAD}." in failed
        assert database.content == before
        assert fails in ask("downgrade", "base")

        assert f"Done. Current revision: {floor}." in run("rollback", "--revision", floor, "--yes")
        assert ask("downgrade", floor) == "done\n"
        assert schema(urls[0], scripts) == schema(urls[1], scripts)
    assert database.current == [floor]
    nowhere([*magetui.outcomes, state_dir, temporary, Path(os.environ["XDG_CACHE_HOME"], "magetui")])


def with_driver(database: Database) -> str:
    return database.url.replace("postgresql://", "postgresql+psycopg2://")


def twin_of(database: Database) -> Database:
    if isinstance(database, SqliteDatabase):
        return SqliteDatabase(database.path.with_name("twin.db"))
    return PostgresDatabase(database.server, database.server.create_database().rpartition("/")[2])


def schema(url: str, scripts: Path) -> Schema:
    with walking(url, scripts) as steps:
        return steps.schema()
