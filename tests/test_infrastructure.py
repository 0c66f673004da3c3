"""What the other tests take for granted about the servers, the chain, the projects and the terminal."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import CycleDetected
from alembic.util import CommandError

from tests.support import alembic_project
from tests.support.alembic_project import Revision, make_project
from tests.support.mage import CHECKOUT, HEAD
from tests.support.postgres import PASSWORD, USER, Mode, PostgresServer
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.every_version]

TEXTUAL_APP = """
from textual.app import App
from textual.widgets import Input, Static

class Small(App):
    BINDINGS = [("ctrl+t", "exit", "Exit")]
    def compose(self):
        yield Input(placeholder="name")
        yield Static("not yet", id="said")
    def on_input_submitted(self, event):
        self.query_one("#said").update(f"hello {event.value}, {self.size.width} wide")
    def action_exit(self):
        self.exit(return_code=7, message="goodbye")

app = Small()
app.run()
raise SystemExit(app.return_code)
"""


def test_server_has_the_version_and_keeps_its_urls_over_a_restart(postgres: PostgresServer, pg_url: str) -> None:
    modes: tuple[Mode | None, ...] = (None, "fast", "immediate")
    for mode in modes:
        if mode is not None:
            postgres.restart(mode)
        for url in (pg_url, postgres.socket_url(pg_url.rpartition("/")[2])):
            with closing(psycopg2.connect(url)) as connection:
                assert connection.server_version // 10_000 == postgres.major
                assert connection.info.user == USER


def test_server_wants_its_password(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        postgres.connect("postgres", password=PASSWORD[:-1])


def test_server_goes_when_the_test_process_is_killed() -> None:
    program = (
        "from tests.support.postgres import PostgresServer\n"
        "server = PostgresServer(18)\n"
        "server.start()\n"
        "print(server.pid, server.directory, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pid, directory = process.stdout.readline().split()
        assert _is_alive(int(pid))
        process.kill()
    eventually(lambda: not _is_alive(int(pid)))
    eventually(lambda: not Path(directory).exists())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_mage_templates_are_at_the_head(postgres: PostgresServer, mage_pg_url: str, mage_sqlite_url: str) -> None:
    name = mage_pg_url.rpartition("/")[2]
    assert postgres.execute(name, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    with closing(sqlite3.connect(mage_sqlite_url.removeprefix("sqlite:///"))) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_project_works_with_alembic_itself(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", alembic_project.linear(3), f"sqlite:///{tmp_path}/data.db")
    alembic = [sys.executable, "-m", "alembic", "-c", str(project.ini)]
    for arguments in (["upgrade", "head"], ["downgrade", "-1"], ["upgrade", "base:head", "--sql"]):
        subprocess.run([*alembic, *arguments], check=True, capture_output=True, timeout=60)
    with closing(sqlite3.connect(tmp_path / "data.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("rev2",)]


@pytest.mark.filterwarnings("ignore:Revision rev2 referenced")
@pytest.mark.parametrize(
    ("revisions", "error"),
    [
        pytest.param(alembic_project.cycle(), CycleDetected, id="cycle"),
        pytest.param(alembic_project.missing_parent(), KeyError, id="missing-parent"),
        pytest.param(alembic_project.syntax_error(), SyntaxError, id="syntax-error"),
    ],
)
def test_broken_project_is_broken_for_alembic(
    tmp_path: Path, revisions: tuple[Revision, ...], error: type[Exception]
) -> None:
    project = make_project(tmp_path / "project", revisions, "sqlite://")
    with pytest.raises(error):
        ScriptDirectory.from_config(Config(project.ini)).get_heads()


def test_ambiguous_project_is_ambiguous_for_alembic(tmp_path: Path) -> None:
    heads = make_project(tmp_path / "heads", alembic_project.two_heads(), "sqlite://")
    with pytest.raises(CommandError, match="multiple heads"):
        ScriptDirectory.from_config(Config(heads.ini)).get_current_head()
    twice = make_project(tmp_path / "twice", alembic_project.duplicate(), "sqlite://")
    with pytest.warns(UserWarning, match="present more than once"):
        ScriptDirectory.from_config(Config(twice.ini)).get_heads()
    empty = make_project(tmp_path / "empty", alembic_project.no_scripts(), "sqlite://")
    assert ScriptDirectory.from_config(Config(empty.ini)).get_heads() == []


def test_terminal_drives_a_program_and_finds_itself_as_it_was(tmp_path: Path) -> None:
    program = tmp_path / "small.py"
    program.write_text(TEXTUAL_APP)
    with Terminal([sys.executable, str(program)], size=(60, 20), cwd=tmp_path) as terminal:
        terminal.wait_for("not yet")
        assert b"\x1b[?1049h" in terminal.output
        terminal.press("Mage", "enter")
        terminal.wait_for("hello Mage, 60 wide")
        assert "not yet" not in terminal.screen()
        terminal.resize(100, 30)
        terminal.press("!", "enter")
        terminal.wait_for("hello Mage!, 100 wide")
        terminal.press("ctrl+t")
        assert terminal.wait_exit() == 7
        assert terminal.modes_after == terminal.modes_before
        assert terminal.output.endswith(b"goodbye\r\n")
        last = max(terminal.output.rfind(b"\x1b[?1049h"), terminal.output.rfind(b"\x1b[?25l"))
        assert terminal.output.find(b"\x1b[?1049l", last) > 0
        assert terminal.screen().split() == ["goodbye"]  # the screen from before is back


def test_terminal_sees_modes_that_were_not_put_back() -> None:
    with Terminal(["sh", "-c", "stty -echo; echo ready; read answer; echo got $answer"]) as terminal:
        terminal.wait_for("ready")
        terminal.press("yes", "enter")
        terminal.wait_for("got yes")
        assert terminal.wait_exit() == 0
        assert terminal.modes_after != terminal.modes_before


def test_terminal_hangs_up() -> None:
    with Terminal(["sh", "-c", "echo ready; exec sleep 60"]) as terminal:
        terminal.wait_for("ready")
        terminal.hang_up()
        assert terminal.wait_exit() == -signal.SIGHUP


def test_terminal_complains_with_its_screen() -> None:
    with Terminal(["sh", "-c", "echo one; echo two >&2; exit 3"], size=(20, 3)) as terminal:
        with pytest.raises(AssertionError, match="'three' did not appear") as failure:
            terminal.wait_for("three")
        assert "ended with status 3" in str(failure.value)
        assert "|two                 |" in str(failure.value)
        assert terminal.wait_exit() == 3
        assert terminal.modes_after == terminal.modes_before


def test_terminal_answers_what_programs_ask() -> None:
    cursor = r"printf 'ab\033[6n'; head -c 6 | od -c"
    synchronised = r"printf '\033[?2026$p'; head -c 11 | od -c"
    with Terminal(["sh", "-c", f"stty raw -echo; {cursor}; {synchronised}"]) as terminal:
        terminal.wait_for(r"033\s+\[\s+1\s+;\s+3\s+R")
        terminal.wait_for(r"\[\s+\?\s+2\s+0\s+2\s+6\s+;\s+0\s+\$\s+y")
