"""The verb `config`, targets by their name, and what a production database asks for, on the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.postgres import HOST, PASSWORD, USER
from tests.support.terminal import Terminal

SECRET = "verysecret-1"
OWN = f"""
lock_timeout_seconds = 5
scratch_url = "postgresql://mage:{SECRET}@db0/scratch"

[keys]
migrate = "M"

[targets.prod-eu]
url = "postgresql://mage@db1:5432/mage"
password_command = "echo {SECRET}"
production = true
colour = "red"
description = "Orchestration, Frankfurt"

[targets.staging]
url = "postgresql://mage:{SECRET}@db2/mage"
"""
NEWEST = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])


def test_config_tells_each_setting_where_it_came_from_and_no_secret(
    magetui: Magetui, own: Path, tmp_path: Path
) -> None:
    own.write_text(OWN)
    project = tmp_path / "magetui.toml"
    project.write_text("lock_retries = 3\npython = './evil'\n")
    told = magetui("--read-only", "config")
    assert told.status == 0, told
    for line in (
        rf"your file      {own}",
        f"the project's  {project}",
        f"lock_timeout_seconds       5                                    {own}",
        f"lock_retries               3                                    {project}",
        "read_only                  true                                 --read-only",
        "python                     none                                 default",
        f"scratch_url postgresql://mage:***@db0/scratch {own}",
        "key  migrate  M instead of m",
        "[targets.prod-eu]  PRODUCTION  Orchestration, Frankfurt",
        "  password  from its password_command",
        "  url       postgresql://mage:***@db2/mage",
    ):
        assert " ".join(line.split()) in " ".join(told.stdout.split()), told
    assert f"magetui: {project}: 'python' is ignored, because this file comes with the project" in told.stderr
    document = magetui("--json", "--target", "prod-eu", "config")
    said = document.json
    assert said["target"] == "prod-eu"
    assert said["settings"]["lock_retries"] == {"value": 3, "source": str(project)}
    assert [file["found"] for file in said["files"]] == [True, True]
    assert [(one["name"], one["production"], one["password"]) for one in said["targets"]] == [
        ("prod-eu", True, "password_command"),
        ("staging", False, "url"),
    ]
    assert said["keys"]["migrate"] == "M"
    assert SECRET not in str(told) + str(document)


def test_without_a_file_it_says_where_they_go(magetui: Magetui, state_dir: Path, tmp_path: Path) -> None:
    told = magetui("config")
    assert told.status == 0
    assert f"{os.environ['XDG_CONFIG_HOME']}/magetui/config.toml  (not found)" in told.stdout
    assert f"{tmp_path}/magetui.toml  (not found)" in told.stdout


def test_a_wrong_file_ends_every_verb_with_status_2(magetui: Magetui, own: Path) -> None:
    own.write_text("lock_retrys = 3")
    sentence = f"{own}: there is no setting 'lock_retrys'; did you mean 'lock_retries'?"
    for verb in ("config", "diagnose", "runs", "demo"):
        outcome = magetui(verb)
        assert (outcome.status, outcome.stdout, outcome.stderr) == (2, "", f"magetui: {sentence}\n")
    assert magetui("--json", "history").json == {"format": 2, "error": sentence, "status": 2}


def test_a_configuration_that_is_not_there_costs_nothing(tmp_path: Path, own: Path) -> None:
    program = (
        "import json, sys\nfrom magetui.config.settings import settings_of\nimport os\n"
        "settings_of({}, os.environ, terminal=False)\nprint(json.dumps(sorted(sys.modules)))"
    )
    heavy = {"sqlalchemy", "textual", "alembic", "boto3", "psycopg2"}
    only_with_a_file = {"tomllib", "tomli", "magetui.config.files", "difflib", "shlex"}

    def loaded() -> set[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return set(json.loads(done.stdout))

    own.write_text(OWN)
    assert not loaded() & heavy
    own.unlink()
    assert not loaded() & (heavy | only_with_a_file)


@NEWEST
def test_a_target_by_its_name_gets_its_password_from_its_command(
    pg_database: PostgresDatabase, magetui: Magetui, own: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "shop", linear(2), "postgresql://mage@db9/nowhere")
    url = f"postgresql://{USER}@{HOST}:{pg_database.server.port}/{pg_database.name}"
    kept = tmp_path / "password"
    kept.write_text(f"{PASSWORD}\nof the shop\n")
    own.write_text(
        f'[targets.shop]\nurl = "{url}"\nconfig = "{project.ini}"\npassword_command = ["cat", "{kept}"]\n'
        f'[targets.bare]\nurl = "{url}"\nconfig = "{project.ini}"\n'
        f'[targets.failing]\nurl = "{url}"\nconfig = "{project.ini}"\npassword_command = "cat {kept}.not"\n'
    )
    found = magetui("--target", "shop", "diagnose", "--json").json
    assert found["target"]["source"] == f"target shop of {own}"
    assert found["target"]["database"] == pg_database.name
    assert magetui("--target", "shop", "migrate", "--yes").status == 0
    assert pg_database.current == ["rev2"]
    bare = magetui("--target", "bare", "diagnose")
    assert bare.status == 3
    said = " ".join(bare.stdout.split())
    assert "no password supplied" in said
    assert "name the target in the configuration, with a password_command" in said
    failing = magetui("--target", "failing", "schema")
    assert failing.status == 1
    assert "The password_command of target failing failed: it ended with status 1." in failing.stderr
    assert f"{kept}" not in failing.stderr
    for outcome in (bare, failing):
        assert PASSWORD not in str(outcome)


def test_a_configuration_of_a_target_that_is_missing_is_not_passed_over_for_another_database(
    magetui: Magetui, own: Path, sqlite_database: SqliteDatabase
) -> None:
    sqlite_database.rows("create table t (id integer)")
    own.write_text('[targets.shop]\nconfig = "/srv/no-such-shop/alembic.ini"')
    outcome = magetui("--target", "shop", "schema", env={"MAGE_DATABASE_CONNECTION_URL": sqlite_database.url})
    assert outcome.status == 2
    assert "/srv/no-such-shop/alembic.ini" in outcome.stderr


@pytest.mark.slow
def test_a_change_to_production_wants_the_databases_name_and_tells_what_files_set(
    magetui: Magetui, own: Path, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "shop", linear(2), "sqlite://")
    own.write_text(
        f'lock_retries = 2\n[targets.prod]\nurl = "{sqlite_database.url}"\n'
        f'config = "{project.ini}"\nproduction = true\n'
    )
    # Whoever names it by its URL meets the same question.
    command = Magetui.command("--url", sqlite_database.url, "--config", project.ini, "migrate")
    for answer, status in (("y", 4), (sqlite_database.path.name, 0)):
        with Terminal(command, (200, 30), cwd=tmp_path) as terminal:
            asked = terminal.wait_for(
                r"This is prod, which is PRODUCTION\. To continue, type the database's name: data\.db"
            )
            assert f"lock_retries 2, from {own}" in asked.replace("\n", "")
            terminal.press(answer, "enter")
            assert terminal.wait_exit() == status
    assert sqlite_database.current == ["rev2"]
    back = magetui("--target", "prod", "rollback", "--revision", "-1", "--yes")
    assert back.status == 0
    assert "this is prod  PRODUCTION" in back.stderr
    assert sqlite_database.current == ["rev1"]


def test_a_project_of_a_file_needs_no_flag(magetui: Magetui, own: Path, tmp_path: Path) -> None:
    make_project(tmp_path / "db", linear(1), "sqlite:///shop.db")
    (tmp_path / "magetui.toml").write_text('config = "db/alembic.ini"')
    assert "rev1" in magetui("history").stdout
