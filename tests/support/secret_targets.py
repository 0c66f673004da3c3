"""Targets whose URL is in a secret store, opened as the program opens them."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from magetui.engine.errors import ConnectError
from magetui.engine.target.selection import Selection
from magetui.engine.target.target import Target, mage_target
from magetui.engine.workspace import Workspace
from tests.support.leaks import nowhere
from tests.support.postgres import PASSWORD
from tests.support.secret_stores import IDENTITY_HEADER, SECRET_KEY, SESSION_TOKEN, TOKEN

CONFIDENTIAL = (PASSWORD, SECRET_KEY, SESSION_TOKEN, IDENTITY_HEADER, TOKEN)


def opened(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Target:
    """Return the target in this environment, which becomes the process's own, as in the program."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Workspace(Selection(), environment).target


def failing(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *confidential: str) -> str:
    """Return the error's message if the secret cannot be used. Nothing confidential is in its traceback."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConnectError) as raised:
        mage_target(environment, Path())
    assert raised.value.cause == "secret"
    trace = "".join(traceback.format_exception(raised.value))
    nowhere([trace], *CONFIDENTIAL)
    for secret in confidential:
        assert secret not in trace
    return raised.value.message


@contextmanager
def silent_server() -> Iterator[str]:
    """Yield an address that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
