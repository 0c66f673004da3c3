"""A database in a secret of AWS on the screen: read anew with `r`, and a store that is silent does not hold it up."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from magetui.config import Settings
from magetui.engine.selection import Selection
from magetui.tui.app import MagetuiApp
from tests.blocked import sessions
from tests.databases import PostgresDatabase
from tests.leaks import nowhere
from tests.postgres import HOST, PASSWORD, USER
from tests.secret_stores import SECRET_KEY, SESSION_TOKEN, Answers, SecretsManager, aws_environment, serving
from tests.tui.conftest import OpenScreen

HELP = r"^ Help$"  # its title: the footer of any screen names it too
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


def test_what_a_rotation_changed_is_found_with_r(
    mage: PostgresDatabase, open_terminal: OpenScreen, secrets_manager: SecretsManager, mage_home: Path
) -> None:
    secret = f"screen/{mage.name}"
    secrets_manager.put(secret, described(mage, "before-the-rotation"))
    terminal = open_terminal("--mage-path", mage_home, size=(120, 40), **secrets_manager.environment(secret))
    terminal.wait_for(r"CANNOT CONNECT.*password authentication failed")
    secrets_manager.put(secret, described(mage, PASSWORD))
    terminal.press("r")
    terminal.wait_for(r"UP TO DATE.*source AWS Secrets Manager, AWS_DB_SECRETS_NAME")
    terminal.press("q")
    assert terminal.wait_exit() == 0
    nowhere([terminal.output], PASSWORD, "before-the-rotation", SECRET_KEY, SESSION_TOKEN)


def test_a_silent_store_is_waited_for_while_the_screen_lives(open_terminal: OpenScreen, mage_home: Path) -> None:
    with socket.create_server((HOST, 0)) as silent:
        endpoint = f"http://{HOST}:{silent.getsockname()[1]}"
        terminal = open_terminal("--mage-path", mage_home, **aws_environment(endpoint))
        terminal.wait_for("Connection.*reading")
        began = time.monotonic()
        terminal.press("?")
        terminal.wait_for(HELP)
        assert time.monotonic() - began < 2  # while the store is asked, which takes longer
        terminal.press("escape")
        terminal.wait_for(rf"AWS does not answer at {endpoint}")
        # And one is free to leave while it is being asked.
        terminal.press("r", "q")
        began = time.monotonic()
        assert terminal.wait_exit() == 0
        assert time.monotonic() - began < 3


def test_the_store_is_asked_once_for_each_reading(
    mage: PostgresDatabase, open_terminal: OpenScreen, mage_home: Path
) -> None:
    secret = {"Name": "prod/mage", "SecretString": json.dumps(described(mage, PASSWORD))}
    with serving(Answers(200, secret)) as aws:
        terminal = open_terminal("--mage-path", mage_home, **aws_environment(aws.url))
        terminal.wait_for("UP TO DATE")
        terminal.wait_quiet()
        opened = aws.asked
        assert opened <= 2  # for the state, and for the runs of this database
        terminal.press("r")
        terminal.wait_for("UP TO DATE")
        terminal.wait_quiet()
        assert aws.asked == opened + 1


def test_a_key_on_a_session_waits_for_the_store_while_the_screen_lives(
    mage: PostgresDatabase, open_terminal: OpenScreen, mage_home: Path
) -> None:
    secret = {"Name": "prod/mage", "SecretString": json.dumps(described(mage, PASSWORD))}
    with serving(Answers(200, secret)) as aws, sessions(mage) as crowd:
        holder = crowd.holding("SELECT * FROM role").info.backend_pid
        terminal = open_terminal("--mage-path", mage_home, **aws_environment(aws.url))
        terminal.wait_for("UP TO DATE")
        terminal.press("l")
        terminal.wait_for(rf"{holder} +mage")
        with aws.silence():
            terminal.press("t")
            began = time.monotonic()
            terminal.press("?")
            terminal.wait_for(HELP)
            assert time.monotonic() - began < 2
            terminal.press("escape")
            terminal.wait_for("AWS does not answer")
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
