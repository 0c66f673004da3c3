"""The proxy of the tests: what it holds back, what it lets pass, and what it breaks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg2
import pytest

from tests.support.postgres import PostgresServer
from tests.support.proxy import HERE, StallingProxy
from tests.support.waiting import eventually

SOON = 10  # seconds in which what is to come has come
SILENCE = 0.2  # seconds in which what is not to come has not


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server((HERE, 0)) as server:
        server.settimeout(SOON)
        yield server


@pytest.fixture
def proxy(server: socket.socket) -> Iterator[StallingProxy]:
    with StallingProxy(HERE, server.getsockname()[1]) as proxy:
        yield proxy


def connect(proxy: StallingProxy) -> socket.socket:
    return socket.create_connection((HERE, proxy.port), timeout=SOON)


def accept(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(SOON)
    return connection


def received(connection: socket.socket, count: int) -> bytes:
    """The next `count` bytes, or fewer where the connection ends."""
    parts = []
    while count and (part := connection.recv(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def assert_silent(*connections: socket.socket) -> None:
    for connection in connections:
        connection.settimeout(SILENCE)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(SOON)


def assert_broken(connection: socket.socket) -> None:
    with pytest.raises(ConnectionError):
        received(connection, 1)
        connection.sendall(b"x")


def test_bytes_pass_both_ways_and_an_end_is_passed_on(server: socket.socket, proxy: StallingProxy) -> None:
    with connect(proxy) as client, accept(server) as peer:
        assert proxy.connections == 1
        client.sendall(b"question")
        assert received(peer, 8) == b"question"
        peer.sendall(b"answer")
        assert received(client, 6) == b"answer"
        client.shutdown(socket.SHUT_WR)
        assert received(peer, 1) == b""
        peer.sendall(b"last words")
        peer.shutdown(socket.SHUT_WR)
        assert received(client, 11) == b"last words"
        eventually(lambda: proxy.connections == 0)


def test_stall_holds_everything_back_and_resume_delivers_it_in_order(
    server: socket.socket, proxy: StallingProxy
) -> None:
    much = bytes(range(256)) * 1024
    with connect(proxy) as client, accept(server) as peer:
        client.sendall(b"before")
        assert received(peer, 6) == b"before"
        proxy.stall()
        client.sendall(much)
        peer.sendall(b"unheard")
        with connect(proxy) as late:
            late.sendall(b"late")
            eventually(lambda: proxy.connections == 2)
            assert_silent(client, peer, late)
            server.settimeout(SILENCE)
            with pytest.raises(TimeoutError):
                server.accept()
            server.settimeout(SOON)
            proxy.resume()
            client.sendall(b"after")
            assert received(peer, len(much) + 5) == much + b"after"
            assert received(client, 7) == b"unheard"
            with accept(server) as late_peer:
                assert received(late_peer, 4) == b"late"


def test_end_of_a_connection_is_held_back_too(server: socket.socket, proxy: StallingProxy) -> None:
    with connect(proxy) as client, accept(server) as peer:
        proxy.stall()
        client.sendall(b"farewell")
        client.close()
        assert_silent(peer)
        assert proxy.connections == 1
        proxy.resume()
        assert received(peer, 9) == b"farewell"


@pytest.mark.parametrize("stalled", [False, True], ids=["passing", "stalled"])
def test_cut_ends_both_sides_and_refuses_whoever_comes(
    server: socket.socket, proxy: StallingProxy, stalled: bool
) -> None:
    with connect(proxy) as client, accept(server) as peer:
        if stalled:
            proxy.stall()
        proxy.cut()
        assert proxy.connections == 0
        assert_broken(client)
        assert_broken(peer)
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)


def test_client_of_a_server_that_refuses_is_reset(server: socket.socket, proxy: StallingProxy) -> None:
    server.close()
    with suppress(ConnectionError), connect(proxy) as client:
        assert received(client, 1) == b""
    eventually(lambda: proxy.connections == 0)


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_a_session_by_way_of_it_waits_while_it_stalls_and_is_lost_when_it_is_cut(
    postgres: PostgresServer, pg_url: str
) -> None:
    with (
        StallingProxy(HERE, postgres.port) as proxy,
        closing(psycopg2.connect(proxy.url(pg_url), async_=True)) as session,
    ):

        def idle() -> bool:
            return session.poll() == psycopg2.extensions.POLL_OK

        eventually(idle)
        proxy.stall()
        cursor = session.cursor()
        cursor.execute("SELECT 42")
        with pytest.raises(AssertionError, match="still false"):
            eventually(idle, SILENCE)
        proxy.resume()
        eventually(idle)
        assert cursor.fetchall() == [(42,)]
        proxy.cut()
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 43")
            eventually(lambda: idle() and False)
