"""Names that need quotes: the SQL that is handed to somebody else works as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.postgres import HOST, PASSWORD, USER

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("table", ["Version", "the versions", 'a"b', "order", "user", "it's"])
def test_the_script_of_a_migration_writes_to_the_version_table_that_env_py_configures(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, table: str
) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    env = project.directory / "migrations" / "env.py"
    env.write_text(env.read_text().replace("configure(", f"configure(version_table={table!r}, "))
    for revision in ("rev1", "rev2"):
        script = magetui("--config", project.ini, "migrate", "--revision", revision, "--sql")
        assert script.status == 0, script
        psql(pg_database, script.stdout)
        found = magetui("--config", project.ini, "diagnose", "--json")
        assert found.json["current"] == [revision], found
    back = magetui("--config", project.ini, "rollback", "--revision", "base", "--sql")
    psql(pg_database, back.stdout)
    assert magetui("--config", project.ini, "diagnose", "--json").json["current"] == []


def psql(database: PostgresDatabase, script: str) -> None:
    """Run the script as the person would who receives it."""
    server = database.server
    done = subprocess.run(
        [
            server.bin / "psql",
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            HOST,
            "-p",
            str(server.port),
            "-U",
            USER,
            database.name,
        ],
        input=script,
        env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{done.stderr}\n{script}"
