"""Revisions, scripts and surroundings that cannot be used end in a sentence, and nothing is changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import alembic_project
from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.complaints import MIGRATE, SECRET, STAMP, nothing_begun
from tests.support.complaints import output as told
from tests.support.databases import SqliteDatabase
from tests.support.waiting import eventually

# -- the revision


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        (("migrate", "--revision", "ffff"), "There is no revision 'ffff' in the chain of 3."),
        (("stamp", "ffff"), "There is no revision 'ffff' in the chain of 3."),
        (("rollback", "--revision", "ffff"), "'magetui history' lists all."),
        (("plan", "migrate", "--revision", "rev"), "Several revisions start with 'rev': rev1, rev2, rev3."),
        (("migrate", "--revision", "rev"), "Several revisions start with 'rev': rev1, rev2, rev3."),
        (("stamp", "rev"), "Give more of the id."),
        (
            ("rollback", "--revision", "-3"),
            "'-3' goes further back than the chain: 2 steps lead to its base.",
        ),
        (("rollback", "--revision", "rev3"), "Use 'migrate --revision rev3' to go there."),
        (("migrate", "--revision", "rev1"), "Use 'rollback --revision rev1' to go back."),
        (("migrate", "--revision", "-1"), "Use 'rollback --revision -1'."),
        (("migrate", "--revision", "+2"), "'+2' goes beyond the head, which is 1 away."),
        (("rollback",), "'rollback' needs a target"),
    ],
)
def test_revision_that_cannot_be_meant(
    magetui: Magetui,
    project: AlembicProject,
    sqlite_database: SqliteDatabase,
    verb: tuple[str, ...],
    sentence: str,
) -> None:
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.executescript(
            "create table alembic_version (version_num varchar(32) not null);"
            "insert into alembic_version values ('rev2');"
        )
    before = sqlite_database.content
    yes = () if verb[0] == "plan" else ("--yes",)
    outcome = magetui("--config", project.ini, "--url", sqlite_database.url, *verb, *yes)
    assert outcome.status == 2, outcome
    assert outcome.stdout == ""
    assert sentence in told(outcome)
    assert sqlite_database.content == before
    nothing_begun()


# -- the scripts


@dataclass(frozen=True)
class Broken:
    """Scripts that make no chain: the finding, the files it names, and the revisions that can be listed."""

    revisions: tuple[Revision, ...]
    code: str
    files: tuple[str, ...]
    listed: tuple[str, ...]


T1, T2, T3 = "rev1_create_t1.py", "rev2_create_t2.py", "rev3_create_t3.py"
BROKEN = {
    "cycle": Broken(alembic_project.cycle(), "cycle", (T1, T2, T3), ("rev1", "rev2", "rev3")),
    "duplicate": Broken(
        alembic_project.duplicate(),
        "duplicate-revision",
        (T2, "rev2_create_t2_a_second_time.py"),
        ("rev1", "rev2"),
    ),
    "missing-parent": Broken(alembic_project.missing_parent(), "missing-parent", (T3,), ("rev1", "rev3")),
    "syntax-error": Broken(alembic_project.syntax_error(), "unreadable-script", ("rev2_not_python.py",), ("rev1",)),
    "no-scripts": Broken(alembic_project.no_scripts(), "unreadable-script", (), ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_scripts_that_are_broken(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, broken: Broken
) -> None:
    project = make_project(tmp_path / "project", broken.revisions, sqlite_database.url)
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.execute("create table alembic_version (version_num varchar(32) not null)")
    before = sqlite_database.content

    found = magetui("--config", project.ini, "diagnose", "--json")
    assert found.status == 3, found
    finding = found.json["findings"][0]
    assert (finding["code"], finding["severity"]) == (broken.code, "critical")
    assert sorted(Path(file).name for file in finding["facts"]["files"]) == sorted(broken.files)
    assert finding["message"].endswith("Repair the scripts first.")
    shown = told(magetui("--config", project.ini, "diagnose"))
    assert all(file in shown for file in broken.files)

    for verb in (MIGRATE, STAMP, ("plan", "migrate")):
        refused = magetui("--config", project.ini, *verb)
        assert refused.status == 1, refused
        assert "Alembic cannot use these scripts until this is fixed." in told(refused)

    history = magetui("--config", project.ini, "history", "--json")
    assert history.status == 1, history
    assert sorted(revision["revision"] for revision in history.json["revisions"]) == sorted(broken.listed)
    assert history.json["problems"]
    listed = told(magetui("--config", project.ini, "history"))
    assert all(name in listed for name in (*broken.files, *broken.listed))

    assert sqlite_database.content == before
    nothing_begun()


@pytest.mark.parametrize(
    ("ini", "sentence"),
    [
        (None, "cannot be read"),
        ("", "has no script_location in its [alembic] section"),
        ("[alembic]\nscript_location = nowhere\n", "there is no such folder"),
        (
            f"[alembic]\nscript_location = .\nsqlalchemy.url = postgresql://m:{SECRET}%@h/d\n",
            "must be doubled",
        ),
        (f"sqlalchemy.url = postgresql://m:{SECRET}@h/d\n", "cannot be understood"),
    ],
)
def test_configuration_that_names_no_scripts(magetui: Magetui, tmp_path: Path, ini: str | None, sentence: str) -> None:
    config = tmp_path / "alembic.ini"
    if ini is not None:
        config.write_text(ini)
    for verb in (("diagnose",), ("history",), MIGRATE):
        outcome = magetui("--config", config, *verb)
        assert outcome.status == 2, outcome
        assert sentence in told(outcome)


# -- the surroundings


def test_no_terminal_for_the_screen(magetui: Magetui, project: AlembicProject) -> None:
    outcome = magetui("--config", project.ini)
    assert outcome.status == 2
    assert outcome.stdout == ""
    assert "the full-screen program needs a terminal. Without a terminal, use the verbs" in told(outcome)


def test_no_terminal_to_consent_on(magetui: Magetui, project: AlembicProject, sqlite_database: SqliteDatabase) -> None:
    for answer in ("", "y\n", f"{sqlite_database.path}\n"):
        outcome = magetui("--config", project.ini, "--url", sqlite_database.url, "migrate", stdin=answer)
        assert outcome.status == 4, outcome
        assert "There is no terminal to ask for consent. Nothing was changed." in told(outcome)
        assert not sqlite_database.path.exists()


@pytest.mark.slow
def test_reader_that_goes_away(magetui: Magetui, tmp_path: Path) -> None:
    project = make_project(tmp_path / "long", linear(2_000), "sqlite://")
    process = magetui.start("--config", project.ini, "history")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    eventually(lambda: process.poll() is not None)
    assert "Traceback" not in process.stderr.read()


# -- the limits


@pytest.mark.parametrize("flag", ["--lock-timeout-seconds", "--statement-timeout-seconds"])
@pytest.mark.parametrize("value", ["inf", "nan", "-5", "1e300", "2147484", "soon"])
def test_time_limit_that_cannot_be_meant(
    magetui: Magetui, project: AlembicProject, sqlite_database: SqliteDatabase, flag: str, value: str
) -> None:
    outcome = magetui("--config", project.ini, "--url", sqlite_database.url, "migrate", "--yes", f"{flag}={value}")
    assert outcome.status == 2, outcome
    assert f"{flag} must be a number of seconds from 0 to 2,000,000." in told(outcome)
    nothing_begun()


def test_time_limit_of_less_than_a_millisecond_is_not_taken_for_none(
    magetui: Magetui, project: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    common = ("--config", project.ini, "--url", sqlite_database.url)
    with closing(sqlite3.connect(sqlite_database.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        outcome = magetui(*common, "migrate", "--yes", "--lock-timeout-seconds", 0.0001, timeout=20)
    assert outcome.status == 5, outcome
