"""A database in a secret of AWS on the screen: read anew with `r`, and a store that is silent does not hold it up."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from magetui.config.settings import Settings
from magetui.engine.target.selection import Selection
from magetui.tui.app import MagetuiApp
from tests.support.blocked import sessions
from tests.support.databases import PostgresDatabase
from tests.support.leaks import nowhere
from tests.support.postgres import HOST, PASSWORD, USER
from tests.support.secret_stores import SECRET_KEY, SESSION_TOKEN, Answers, SecretsManager, aws_environment, serving
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import OpenScreen

pytestmark = pytest.mark.slow

HELP = r"^ Help$"  # its title: the footer of any screen names it too
# The program itself, but that it waits for a store far longer than a test waits for what is to come sooner, and that
# it does not look again by itself in that time.
PATIENT = """
from magetui.engine.target import secrets
secrets.READ_SECONDS, secrets.MAX_SECONDS = 100, 200.0
from magetui.tui.screens import main
main.REFRESH_SECONDS = main.LONGEST_PAUSE
from magetui.__main__ import main as start
start()
"""
AT_DB1 = {"username": USER, "engine": "postgres", "host": "db1", "dbname": "orchestration"}


def described(database: PostgresDatabase, password: str) -> dict[str, object]:
    return {
        "username": USER,
        "password": password,
        "engine": "postgres",
        "host": HOST,
        "port": database.server.port,
        "dbname": database.name,
    }


@contextmanager
def patient(mage_home: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    with Terminal([sys.executable, "-c", PATIENT, "--mage-path", str(mage_home)], env=environment) as terminal:
        yield terminal


def alone(pid: int) -> str:
    """The locks screen with no other session, and so with the cursor on it: the program's own may be there at first."""
    return rf"Locks +1 session .*^ {pid} +mage-server.*K End session"


def test_what_a_rotation_changed_is_found_with_r(
    mage: PostgresDatabase, open_terminal: OpenScreen, secrets_manager: SecretsManager, mage_home: Path
) -> None:
    secret = f"screen/{mage.name}"
    secrets_manager.put(secret, described(mage, "before-the-rotation"))
    terminal = open_terminal("--mage-path", mage_home, size=(120, 40), **secrets_manager.environment(secret))
    terminal.wait_for(r"CANNOT CONNECT.*password\W+authentication\W+failed")
    secrets_manager.put(secret, described(mage, PASSWORD))
    terminal.press("r")
    terminal.wait_for(r"UP TO DATE.*source AWS Secrets Manager, AWS_DB_SECRETS_NAME")
    terminal.press("q")
    assert terminal.wait_exit() == 0
    nowhere([terminal.output], PASSWORD, "before-the-rotation", SECRET_KEY, SESSION_TOKEN)


def test_a_silent_store_is_waited_for_while_the_screen_lives(open_terminal: OpenScreen, mage_home: Path) -> None:
    with socket.create_server((HOST, 0)) as silent:
        endpoint = f"http://{HOST}:{silent.getsockname()[1]}"
        with patient(mage_home, aws_environment(endpoint)) as terminal:
            terminal.wait_for("reading")
            terminal.press("?")
            terminal.wait_for(HELP)
            terminal.press("escape")
            terminal.wait_for("reading")
            # And one is free to leave while it is being asked.
            terminal.press("r", "q")
            assert terminal.wait_exit() == 0
        terminal = open_terminal("--mage-path", mage_home, **aws_environment(endpoint))
        terminal.wait_for(rf"AWS does not answer at {endpoint}", 30)


def test_the_store_is_asked_once_for_each_reading(mage: PostgresDatabase, mage_home: Path) -> None:
    secret = {"Name": "prod/mage", "SecretString": json.dumps(described(mage, PASSWORD))}
    with serving(Answers(200, secret)) as aws, patient(mage_home, aws_environment(aws.url)) as terminal:
        terminal.wait_for("UP TO DATE")
        eventually(lambda: aws.asked >= 2)  # for the state, and for the runs of this database
        terminal.wait_quiet()
        assert aws.asked == 2
        terminal.press("r")
        eventually(lambda: aws.asked >= 3)
        terminal.wait_for("UP TO DATE")
        terminal.wait_quiet()
        assert aws.asked == 3


def test_a_key_on_a_session_waits_for_the_store_while_the_screen_lives(mage: PostgresDatabase, mage_home: Path) -> None:
    secret = {"Name": "prod/mage", "SecretString": json.dumps(described(mage, PASSWORD))}
    with serving(Answers(200, secret)) as aws, sessions(mage) as crowd:
        holder = crowd.holding("SELECT * FROM role").info.backend_pid
        with patient(mage_home, aws_environment(aws.url)) as terminal:
            terminal.wait_for("UP TO DATE")
            terminal.press("l")
            terminal.wait_for(alone(holder))
            with aws.silence():
                terminal.press("K")
                terminal.press("?")
                terminal.wait_for(HELP)
                terminal.press("escape")
                terminal.wait_for(alone(holder))
            terminal.wait_for(f"End session {holder}")


def test_a_key_on_a_session_does_nothing_to_it_where_the_store_stays_silent(
    mage: PostgresDatabase, open_terminal: OpenScreen, mage_home: Path
) -> None:
    secret = {"Name": "prod/mage", "SecretString": json.dumps(described(mage, PASSWORD))}
    with serving(Answers(200, secret)) as aws, sessions(mage) as crowd:
        holder = crowd.holding("SELECT * FROM role").info.backend_pid
        terminal = open_terminal("--mage-path", mage_home, **aws_environment(aws.url))
        terminal.wait_for("UP TO DATE")
        terminal.press("l")
        terminal.wait_for(alone(holder))
        with aws.silence():
            terminal.press("K")
            terminal.wait_for("AWS does not answer", 30)
        assert mage.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {holder}")


def test_telling_of_an_unforeseen_error_asks_no_store(mage_home: Path) -> None:
    secret = {"Name": "prod/mage", "SecretString": json.dumps({**AT_DB1, "password": PASSWORD})}
    with serving(Answers(200, secret)) as aws:
        app = MagetuiApp(Settings(Selection(mage_path=str(mage_home))), environment := aws_environment(aws.url))
        error = f"{PASSWORD} {SECRET_KEY} {SESSION_TOKEN}"
        assert app.cleaned(error) == f"{PASSWORD} *** ***"  # nobody has read it yet
        assert aws.asked == 0
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("AWS_ENDPOINT_URL", environment["AWS_ENDPOINT_URL"])
            assert app.open_workspace().target.url.password == PASSWORD
        assert app.cleaned(error) == "*** *** ***"
        assert aws.asked == 1
