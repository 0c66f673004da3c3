"""Connections in trouble: they break, fall silent or stay idle for long, and the program reports what happened."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from magetui.backends.base import CONNECT_TIMEOUT_SECONDS
from magetui.backends.postgresql import bounded_reads
from magetui.backends.postgresql.backend import PostgreSQL
from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.live import Live
from tests.support.proxy import StallingProxy
from tests.support.waiting import eventually


class Proxy:
    """A proxy between a client and a server, which can fall silent without closing anything."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.silent = False
        self.silent_after_login = False
        self.chatter = b""  # messages that answer the first query, without end
        self.swallowed = threading.Event()
        self._sockets = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                query = data[:1] == b"Q"  # the first simple query: the login is over
                if self.silent or (self.silent_after_login and query):
                    self.silent = True
                    self.swallowed.set()
                    while self.chatter:
                        source.sendall(self.chatter)
                    continue
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for open_socket in self._sockets:
            open_socket.close()


@contextmanager
def proxy_to(database: PostgresDatabase) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy, and the database's URL through it."""
    with closing(Proxy(database.server.port)) as proxy:
        yield proxy, database.url.replace(f":{database.server.port}/", f":{proxy.port}/") + "?sslmode=disable"


def test_reader_whose_server_falls_silent_gives_up(
    pg_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_reads, "PATIENCE_SECONDS", 0.5)
    backend = PostgreSQL()
    with proxy_to(pg_database) as (proxy, url):
        reader = backend.reader(make_url(url), "magetui")
        with reader.connect() as connection:
            assert connection.exec_driver_sql("select 1").scalar() == 1
            proxy.silent = True
            with pytest.raises(OperationalError, match="has not answered for") as raised:
                connection.exec_driver_sql("select 2")
    assert backend.failure(raised.value).cause == "lost"


def message(kind: bytes, content: bytes) -> bytes:
    """Return a message of the protocol (manual, 55.7)."""
    return kind + struct.pack("!i", len(content) + 4) + content


@pytest.mark.slow
@pytest.mark.parametrize(
    "chatter",
    [
        message(b"S", b"application_name\0magetui\0"),
        message(b"N", b"SNOTICE\0VNOTICE\0C00000\0M" + b"blah " * 100 + b"\0\0"),
        message(b"A", struct.pack("!i", 1) + b"channel\0payload\0"),
    ],
    ids=["ParameterStatus", "NOTICE", "NOTIFY"],
)
def test_reader_whose_server_chatters_without_end_gives_up(
    pg_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, chatter: bytes
) -> None:
    monkeypatch.setattr(bounded_reads, "PATIENCE_SECONDS", 0.5)
    with proxy_to(pg_database) as (proxy, url):
        reader = PostgreSQL().reader(make_url(url), "magetui")
        with reader.connect() as connection:
            proxy.silent_after_login, proxy.chatter = True, chatter * 100
            with pytest.raises(OperationalError, match="has not answered for"):
                connection.exec_driver_sql("select 2")


def test_statement_that_takes_its_time_is_not_hurried(
    pg_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_reads, "PATIENCE_SECONDS", 0.1)
    writer = PostgreSQL().writer(make_url(pg_database.url), "magetui run 1")
    with writer.connect() as connection:
        assert connection.exec_driver_sql("select 1 from pg_sleep(0.5)").scalar() == 1


def test_ctrl_c_is_heard_while_a_server_is_silent(
    pg_database: PostgresDatabase, magetui: Magetui, silent_project: AlembicProject
) -> None:
    with proxy_to(pg_database) as (proxy, url):
        proxy.silent_after_login = True
        live = Live(magetui.start("--config", silent_project.ini, "--url", url, "diagnose"))
        assert proxy.swallowed.wait(20)
        began = time.monotonic()
        live.interrupt(signal.SIGINT)
        ended = live.end()
    assert ended.status == 130, ended
    assert time.monotonic() - began < bounded_reads.PATIENCE_SECONDS / 2
    assert "interrupted; nothing was changed" in ended.stderr


def test_ctrl_c_is_heard_while_a_connection_is_being_made(
    pg_database: PostgresDatabase, magetui: Magetui, silent_project: AlembicProject
) -> None:
    with StallingProxy("127.0.0.1", pg_database.server.port) as proxy:
        proxy.stall()
        live = Live(magetui.start("--config", silent_project.ini, "--url", proxy.url(pg_database.url), "diagnose"))
        eventually(lambda: proxy.connections)
        began = time.monotonic()
        live.interrupt(signal.SIGINT)
        ended = live.end()
    assert ended.status == 130, ended
    assert time.monotonic() - began < CONNECT_TIMEOUT_SECONDS / 2


@pytest.fixture
def silent_project(tmp_path: Path) -> AlembicProject:
    return make_project(tmp_path / "project", linear(1), "sqlite://")


@pytest.mark.parametrize(
    ("message", "broken", "cause"),
    [
        ("SSL connection has been closed unexpectedly\n", True, "lost"),
        ("could not receive data from server: Connection timed out\n", True, "lost"),
        ('connection to server at "db1" (10.0.0.1), port 5432 failed: timeout expired\n', False, "timeout"),
        ('connection to server at "db1" (10.0.0.1), port 5432 failed: Connection timed out\n', False, "timeout"),
        ('connection to server at "db1", port 5432 failed: SSL error: certificate verify failed\n', False, "tls"),
    ],
)
def test_connection_that_breaks_during_a_run_is_lost_and_not_badly_configured(
    message: str, broken: bool, cause: str
) -> None:
    error = DBAPIError("select 1", {}, psycopg2.OperationalError(message), connection_invalidated=broken)
    assert PostgreSQL().failure(error).cause == cause


def test_reset_connection_is_known_to_be_broken_by_the_driver(pg_database: PostgresDatabase) -> None:
    backend = PostgreSQL()
    with backend.writer(make_url(pg_database.url), "magetui run 1").connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        with closing(socket.socket(fileno=os.dup(raw.fileno()))) as peer:
            peer.shutdown(socket.SHUT_RDWR)
        with pytest.raises(OperationalError) as raised:
            connection.exec_driver_sql("select 1")
    assert raised.value.connection_invalidated
    assert backend.failure(raised.value).cause == "lost"


def test_session_that_holds_the_mutex_outlives_the_servers_limit_on_idle_sessions(
    pg_database: PostgresDatabase,
) -> None:
    pg_database.rows(f"ALTER DATABASE {pg_database.name} SET idle_session_timeout = '1s'")
    mutex = PostgreSQL().mutex(make_url(pg_database.url), 4711, "magetui run 1 mutex", "migrate")
    assert mutex.try_acquire()
    with closing(pg_database.server.connect(pg_database.name, application_name="idle")):
        ended = "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'idle')"
        eventually(lambda: pg_database.rows(ended), 4)  # this session became idle later than the mutex's session
    assert pg_database.rows("SELECT pg_try_advisory_lock(4711)") == [(False,)]
    mutex.release()
    assert pg_database.rows("SELECT pg_try_advisory_lock(4711)") == [(True,)]


def test_unacknowledged_data_ends_a_connection_before_the_kernels_own_quarter_of_an_hour(
    pg_database: PostgresDatabase,
) -> None:
    for url, milliseconds in ((pg_database.url, "30000"), (f"{pg_database.url}?tcp_user_timeout=5000", "5000")):
        with PostgreSQL().writer(make_url(url), "magetui run 1").connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            assert raw.info.dsn_parameters["tcp_user_timeout"] == milliseconds
