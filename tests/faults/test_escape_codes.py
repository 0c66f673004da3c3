"""Hostile text in every input: a terminal is never sent a control character that the program does not write itself."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

# The title of the window, an 8-bit CSI, a backspace, DEL, a text direction; all of them are obeyed by some terminal.
HOSTILE = "x\x1b]0;owned\x07\x9b31m\x08\x7f\u202ey"
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
VERBS = (
    ("diagnose",),
    ("plan", "migrate"),
    ("plan", "rollback", "--revision", "base"),
    ("evidence",),
    ("history",),
    ("schema",),
    ("schema", HOSTILE),
    ("locks",),
    ("runs",),
    ("config",),
    ("migrate",),
    ("migrate", "--yes"),
    ("runs", "1"),
    ("backup", "--output", "{folder}/" + HOSTILE),
)
ARGUMENTS = (
    ("diagnose", "--url", f"postgresql://{HOSTILE}@127.0.0.1:1/{HOSTILE}"),
    ("diagnose", "--url", HOSTILE),
    ("diagnose", "--config", HOSTILE),
    ("diagnose", "--target", HOSTILE),
    ("diagnose", "--python", HOSTILE),
    ("diagnose", HOSTILE),
    (HOSTILE,),
    (f"--{HOSTILE}",),
    ("migrate", "--revision", HOSTILE),
    ("stamp", HOSTILE),
    ("schema", HOSTILE),
    ("runs", HOSTILE),
)


def chain(name: str) -> tuple[Revision, ...]:
    made = (
        f"op.create_table({name!r}, sa.Column('id', sa.Integer, primary_key=True))\n"
        f"op.execute('select 1 as \"' + {name!r} + '\"')\nprint({name!r})"
    )
    return Revision("base1", None, "First"), Revision("next2", "base1", f"Message {name}", made)


def assert_harmless(outcome: Outcome, verb: object) -> None:
    for stream in (outcome.stdout, outcome.stderr):
        found = OBEYED.search(stream)
        assert found is None, (verb, found, stream[max(0, found.start() - 80) : found.end() + 20])
    assert "Traceback" not in outcome.stderr, outcome


def all_verbs(magetui: Magetui, folder: Path, *common: object) -> None:
    for verb in VERBS:
        words = [word.replace("{folder}", str(folder)) for word in verb]
        assert_harmless(magetui(*common, *words), verb)
        document = magetui(*common, *words, "--json")
        assert_harmless(document, (verb, "--json"))
        if document.stdout:
            json.loads(document.stdout)


def test_names_and_values_of_a_database_and_its_scripts_are_shown_as_escapes(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    name = HOSTILE.replace('"', '""')
    for statement in (
        f'create table "{name}" (id integer default 1, "{name}" text default \'{HOSTILE}\')',
        f"create type \"t{name}\" as enum ('{HOSTILE}')",
        f'create index "i{name}" on "{name}" ("{name}")',
        "create table alembic_version (version_num varchar(100) not null primary key)",
        f"insert into alembic_version values ('{HOSTILE}')",
    ):
        pg_database.rows(statement)
    with pg_database.session(f'lock table "{name}"', HOSTILE):
        project = make_project(tmp_path / "project", chain(HOSTILE), pg_database.url)
        all_verbs(magetui, tmp_path, "--config", project.ini)
        pg_database.rows("update alembic_version set version_num = 'base1'")
        all_verbs(magetui, tmp_path, "--config", project.ini, "--lock-timeout", "1s")


def in_script_location(folder: Path, url: str) -> Path:
    project = make_project(folder / HOSTILE, chain("t1"), url)
    return project.ini


def missing_script_location(folder: Path, url: str) -> Path:
    project = make_project(folder / "project", chain("t1"), url)
    project.ini.write_text(project.ini.read_text().replace("/migrations", f"/{HOSTILE}"))
    return project.ini


def script_name(folder: Path, url: str) -> Path:
    project = make_project(folder / "project", chain("t1"), url)
    (project.versions / f"{HOSTILE}.py").write_text("revision = 'lost9'\ndown_revision = 'nowhere'\n")
    return project.ini


def own_configuration(folder: Path, url: str) -> Path:
    project = make_project(folder / "project", chain("t1"), url)
    (project.directory / "magetui.toml").write_text(f'colour = "{HOSTILE!r}"\n["a\\u001b[31m"]\nurl = "\\u009b31m"\n')
    return project.ini


@pytest.mark.parametrize("made", [in_script_location, missing_script_location, script_name, own_configuration])
def test_names_of_files_and_settings_are_shown_as_escapes(
    magetui: Magetui, tmp_path: Path, made: Callable[[Path, str], Path]
) -> None:
    file = tmp_path / f"{HOSTILE}.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f'create table "{HOSTILE}" (id integer)')
    ini = made(tmp_path, SqliteDatabase(file).url)
    for verb in VERBS:
        words = [word.replace("{folder}", str(tmp_path)) for word in verb]
        assert_harmless(magetui("--config", ini, *words, cwd=ini.parent), verb)


def test_arguments_are_repeated_as_escapes(magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", chain("t1"), sqlite_database.url)
    for arguments in ARGUMENTS:
        assert_harmless(magetui(*arguments, cwd=project.directory), arguments)
        assert_harmless(magetui(*arguments, "--json", cwd=project.directory), arguments)
