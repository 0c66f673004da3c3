"""A SQL Server that falls silent, with every connection left open: each real driver must be left by its caller.

FreeTDS and mssql-python would wait for ever. The server is the fake of tests/support/sqlserver.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from magetui.backends.mssql import bounded, connections
from magetui.backends.mssql.backend import SQLServer
from magetui.backends.mssql.peers import peers_of
from magetui.backends.mssql.query import fetch
from magetui.backends.thread_call import ThreadCall
from magetui.engine.target.target import parse_target
from tests.support.sqlserver.drivers import each_driver, odbc_environment, url
from tests.support.sqlserver.server import FakeServer
from tests.support.sqlserver.session import LONG
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

BACKEND = SQLServer()


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Register the ODBC driver for this process, once: unixODBC remembers what it has read."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in odbc_environment(tmp_path_factory.mktemp("odbc")).items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def server(registered: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr(bounded, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 2)
    monkeypatch.setattr(connections, "LOGIN_SECONDS", 1)
    monkeypatch.setattr(connections, "MARGIN_SECONDS", 1.0)
    with FakeServer(tmp_path) as fake:
        yield fake


def parsed(driver: str, server: FakeServer) -> URL:
    return parse_target(url(driver, server.port), "--url").url


@each_driver
def test_a_server_that_falls_silent_before_the_login_is_noticed(server: FakeServer, driver: str) -> None:
    reader = BACKEND.reader(parsed(driver, server), "magetui")
    server.fall_silent()
    started = time.monotonic()
    with pytest.raises(DBAPIError) as caught:
        reader.connect()
    assert time.monotonic() - started < 10
    failure = BACKEND.failure(caught.value)
    assert (failure.cause, failure.silent) == ("timeout", True), failure


@each_driver
def test_a_server_that_falls_silent_during_a_read_is_noticed(server: FakeServer, driver: str) -> None:
    connection = BACKEND.reader(parsed(driver, server), "magetui").connect()
    assert fetch(connection, "select @@lock_timeout") == [(500,)]
    server.fall_silent()
    for _ in range(2):  # the second time at once: its connection is left to the driver
        with pytest.raises(DBAPIError) as caught:
            fetch(connection, "select @@spid")
        failure = BACKEND.failure(caught.value)
        assert (failure.cause, failure.silent) == ("lost", True), failure
        assert failure.message == "the server has not answered for 1 s"
    closing = ThreadCall(connection.close)
    closing.start("close")
    assert closing.wait(5)
    closing.result()


@each_driver
def test_a_connection_to_a_silent_server_can_be_broken_for_its_driver(server: FakeServer, driver: str) -> None:
    """What the watcher does for a run whose server is silent for too long: the driver itself would wait on."""
    connection = BACKEND.writer(parsed(driver, server), "magetui").connect()
    connection.info[connections.PEERS] = peers_of(connection.engine.url)
    running = ThreadCall(lambda: connection.exec_driver_sql(LONG))
    running.start("run")
    eventually(lambda: LONG in server.statements)
    server.fall_silent()
    BACKEND.abandon(connection)
    assert running.wait(10)
    with pytest.raises(DBAPIError) as caught:
        running.result()
    assert BACKEND.failure(caught.value).cause == "lost"


def test_other_servers_keep_their_connections(server: FakeServer, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with FakeServer(folder) as other:
        engines: list[Engine] = [BACKEND.reader(parsed("pymssql", one), "magetui") for one in (server, other)]
        kept, broken = engines[1].connect(), engines[0].connect()
        broken.info[connections.PEERS] = peers_of(engines[0].url)
        BACKEND.abandon(broken)
        assert fetch(kept, "select @@lock_timeout") == [(500,)]
        with pytest.raises(DBAPIError):
            fetch(broken, "select @@spid")
        kept.close()
