"""A folder whose code nobody trusts yet: nothing of it runs before the operator says so, and it is said what ran."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.terminal import Terminal
from tests.tui.conftest import agree

pytestmark = pytest.mark.slow

UNTRUSTED = 4
INTERPRETER = """\
#!/bin/sh
echo interpreter >> {ran}
exec {python} "$@"
"""


@dataclass(frozen=True)
class Stranger:
    """A project of somebody else in a folder: whatever runs of it writes its name into a file outside."""

    directory: Path
    env_py: Path
    ran_file: Path

    @property
    def ran(self) -> set[str]:
        return set(self.ran_file.read_text().split()) if self.ran_file.exists() else set()


@pytest.fixture
def stranger(tmp_path: Path, sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    monkeypatch.delenv("MAGETUI_TRUST")
    ran = tmp_path / "ran"
    first = Revision("rev1", None, "one", "op.create_table('t1', sa.Column('id', sa.Integer))", "op.drop_table('t1')")
    second = Revision("rev2", "rev1", "two", "op.create_table('t2', sa.Column('id', sa.Integer))", "pass")
    project = make_project(tmp_path / "project", (first, second), sqlite_database.url)
    env_py = project.directory / "migrations" / "env.py"
    noted = f"open({str(ran)!r}, 'a').write('env.py ')\n"
    before, after = env_py.read_text().split("context", 1)  # after the import of the context
    after = after.replace("configure(connection=connection)", "configure(connection=connection, **{})")
    env_py.write_text(f"{before}context\n{noted}{after}")  # only running it can tell what it configures
    python = project.directory / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(INTERPRETER.format(ran=ran, python=sys.executable))
    python.chmod(0o755)
    sqlite_database.rows("create table t1 (id integer)")
    sqlite_database.rows("create table alembic_version (version_num varchar(32) not null primary key)")
    sqlite_database.rows("insert into alembic_version values ('rev1')")
    return Stranger(project.directory, env_py, ran)


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        (("diagnose",), 3),
        (("history",), 0),
        (("schema",), 0),
        (("schema", "t1"), 0),
        (("locks",), 0),
        (("runs",), 0),
        (("config",), 0),
        (("backup",), 0),
        (("evidence",), UNTRUSTED),
        (("verify",), UNTRUSTED),
        (("plan", "migrate"), UNTRUSTED),
        (("plan", "clean"), UNTRUSTED),
        (("migrate", "--yes"), UNTRUSTED),
        (("rollback", "--yes", "--revision", "base"), UNTRUSTED),
        (("stamp", "head", "--yes"), UNTRUSTED),
        (("migrate", "--sql"), UNTRUSTED),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_nothing_of_a_project_runs_before_it_is_trusted(
    magetui: Magetui, stranger: Stranger, sqlite_database: SqliteDatabase, verb: tuple[str, ...], status: int
) -> None:
    done = magetui(*verb, cwd=stranger.directory)
    assert stranger.ran == set(), done
    assert done.status == status, done
    assert sqlite_database.current == ["rev1"]
    if status == UNTRUSTED:
        assert f"The project {stranger.directory} is not trusted, so none of its code may run." in done.stderr


def test_diagnose_says_what_it_could_not_learn_and_what_ran(magetui: Magetui, stranger: Stranger) -> None:
    bare = magetui("diagnose", "--json", cwd=stranger.directory).json
    assert bare["current"] == ["rev1"]
    assert bare["pending"] == ["rev2"]
    assert bare["findings"][0]["code"] == "untrusted-project"
    assert {finding["next"] for finding in bare["findings"]} == {"trust"}
    assert bare["project"]["ran"] == []
    assert bare["project"]["python"] == sys.executable
    trusted = magetui("diagnose", "--json", "--trust", cwd=stranger.directory)
    assert trusted.json["findings"][0]["code"] == "behind", trusted
    assert trusted.json["project"]["ran"][-1] == "the functions of 2 scripts, behind a barrier"
    assert stranger.ran == {"interpreter", "env.py"}
    words = magetui("diagnose", "--trust", cwd=stranger.directory).stdout
    assert f"ran       {stranger.directory}/.venv/bin/python" in words


def test_trust_is_asked_for_once_and_again_when_the_code_changed(
    magetui: Magetui, stranger: Stranger, tmp_path: Path
) -> None:
    with Terminal(Magetui.command("diagnose"), (100, 40), {}, stranger.directory) as terminal:
        shown = terminal.wait_for(r"Trust this project\? \[y/N\]")
        assert "migrations/env.py, migrations/versions, .venv/bin/python" in shown.replace("\n", " ")
        terminal.press("n", "enter")
        assert terminal.wait_exit() == 3
    assert stranger.ran == set()
    with Terminal(Magetui.command("diagnose"), (100, 40), {}, stranger.directory) as terminal:
        terminal.wait_for(r"Trust this project\? \[y/N\]")
        terminal.press("y", "enter")
        assert terminal.wait_exit() == 3
        terminal.wait_for("behind")
    assert stranger.ran == {"interpreter", "env.py"}
    assert magetui("diagnose", "--json", cwd=stranger.directory).json["findings"][0]["code"] == "behind"

    stranger.env_py.write_text(stranger.env_py.read_text() + "\n# a deploy\n")
    stranger.env_py.chmod(0o666)
    stranger.ran_file.unlink()
    finding = magetui("diagnose", "--json", cwd=stranger.directory).json["findings"][0]
    assert finding["facts"]["changed"] == [str(stranger.env_py)]
    assert stranger.ran == set()
    with Terminal(Magetui.command("plan", "migrate"), (100, 40), {}, stranger.directory) as terminal:
        shown = terminal.wait_for(r"Trust this project\? \[y/N\]")
        assert "Since then these files have changed" in shown
        assert "every user can write there" in shown
        terminal.press("enter")
        assert terminal.wait_exit() == UNTRUSTED
    assert stranger.ran == set()


def test_the_screen_asks_before_anything_of_the_project_runs(stranger: Stranger, tmp_path: Path) -> None:
    with Terminal(Magetui.command(), (80, 24), {}, stranger.directory) as terminal:
        terminal.wait_for(r"Trust this project\?")
        terminal.press("escape")
        terminal.wait_for("UNTRUSTED PROJECT · next T")
        terminal.press("r", "e")
        terminal.wait_for("not trusted")
        terminal.press("escape")
        terminal.wait_for("UNTRUSTED PROJECT")
        terminal.press("m")
        terminal.wait_for("not trusted")
        terminal.press("escape")
        terminal.wait_for("UNTRUSTED PROJECT")
        assert stranger.ran == set()
        terminal.press("T")
        agree(terminal)
        terminal.wait_for("BEHIND BY 1")
        assert "env.py" in stranger.ran
        terminal.press("q")
        assert terminal.wait_exit() == 0
    with Terminal(Magetui.command(), (80, 24), {}, stranger.directory) as terminal:
        terminal.wait_for("BEHIND BY 1")


@pytest.mark.parametrize("planted", ["by a link", "for all to write"])
def test_trust_that_somebody_may_have_planted_is_none(
    magetui: Magetui, stranger: Stranger, state_dir: Path, tmp_path: Path, planted: str
) -> None:
    with Terminal(Magetui.command("diagnose"), (100, 40), {}, stranger.directory) as terminal:
        terminal.wait_for(r"Trust this project\? \[y/N\]")
        terminal.press("y", "enter")
        assert terminal.wait_exit() == 3
    trusted = state_dir / "trusted.json"
    assert json.loads(trusted.read_text())["projects"][0]["folder"] == str(stranger.directory)
    assert trusted.stat().st_mode & 0o777 == 0o600
    stranger.ran_file.unlink()
    if planted == "by a link":
        trusted.rename(tmp_path / "elsewhere.json")
        trusted.symlink_to(tmp_path / "elsewhere.json")
    else:
        trusted.chmod(0o666)
    assert magetui("diagnose", "--json", cwd=stranger.directory).json["findings"][0]["code"] == "untrusted-project"
    assert stranger.ran == set()


def test_a_database_that_only_env_py_can_name_is_not_guessed(magetui: Magetui, stranger: Stranger) -> None:
    stranger.env_py.write_text("import os\nURL = os.environ.get('NOWHERE')\n" + stranger.env_py.read_text())
    done = magetui("locks", cwd=stranger.directory)
    assert done.status == 1, done
    assert "Only env.py can name the database" in done.stderr
    assert stranger.ran == set()
    assert magetui("locks", "--trust", cwd=stranger.directory).status == 0


def test_a_url_of_the_project_that_would_load_a_library_needs_trust(magetui: Magetui, stranger: Stranger) -> None:
    ini = stranger.directory / "alembic.ini"
    lines = ini.read_text().splitlines()
    url = f"sqlalchemy.url = mssql+pyodbc://u:x@127.0.0.1:1/d?driver={stranger.directory}/evil.so"
    ini.write_text("\n".join(url if line.startswith("sqlalchemy.url") else line for line in lines))
    done = magetui("locks", cwd=stranger.directory)
    assert done.status == UNTRUSTED, done
    assert "is not trusted" in done.stderr
