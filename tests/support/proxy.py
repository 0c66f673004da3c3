"""A line to a server that can fall silent or break, because servers seldom do either when they are asked to.

A server that is stopped refuses connections, and one that is frozen (SIGSTOP) still has a kernel that answers for
it. What an operator meets is in between: a firewall that has forgotten a connection, a failover, a cable. Here that
is a proxy, whose connections hold everything back for a while, or end all at once.

    with StallingProxy("127.0.0.1", server.port) as proxy:
        engine = create_engine(proxy.url(server.url("mage")))
        proxy.stall()
        ...
        proxy.resume()
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.support.alembic_project import AlembicProject
from tests.support.databases import PostgresDatabase

HERE = "127.0.0.1"
CHUNK = 65_536
BACKLOG = 256
CONNECT_SECONDS = 10
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets the connection, and drops what was not yet sent


@dataclass(eq=False)
class Half:
    """One direction of a connection; at most one chunk is on its way, the rest waits with its sender's kernel."""

    source: socket.socket
    sink: socket.socket
    held: bytes = b""
    ended: bool = False  # the source has no more to say
    done: bool = False  # and the sink knows


@dataclass(eq=False)
class Line:
    """A client's connection, and ours to the server on its behalf, once there is one."""

    client: socket.socket
    server: socket.socket | None = None
    halves: list[Half] = field(default_factory=list)

    def connect(self, address: tuple[str, int]) -> None:
        """OSError where the server does not take us."""
        self.server = socket.create_connection(address, timeout=CONNECT_SECONDS)
        for end in (self.client, self.server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.halves = [Half(self.client, self.server), Half(self.server, self.client)]

    def pass_on(self, ready: dict[int, int]) -> None:
        """Move what can be moved without waiting. OSError where one side broke the connection."""
        for half in self.halves:
            if ready.get(half.source.fileno(), 0) & ~select.POLLOUT and not half.held and not half.ended:
                with contextlib.suppress(BlockingIOError):
                    half.held = half.source.recv(CHUNK)
                    half.ended = not half.held
            if half.held:
                with contextlib.suppress(BlockingIOError):
                    half.held = half.held[half.sink.send(half.held) :]
            if half.ended and not half.held and not half.done:
                half.sink.shutdown(socket.SHUT_WR)
                half.done = True

    def close(self, *, reset: bool) -> None:
        for end in (self.client, self.server):
            if end is not None:
                with contextlib.suppress(OSError):
                    if reset:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                end.close()


class StallingProxy:
    """Listens on a port of its own from the beginning until `cut` or the end of its `with`."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._listener = socket.create_server((HERE, 0), backlog=BACKLOG)
        self._listener.setblocking(False)
        self.host, self.port = HERE, int(self._listener.getsockname()[1])
        self._lines: list[Line] = []
        self._stalled = self._cut = False
        self._state = threading.Lock()  # held while bytes move: after stall() or cut() none does
        self._wake_reader, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> StallingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._thread.join()
        for end in (self._wake_reader, self._wake):
            os.close(end)

    @property
    def connections(self) -> int:
        """How many clients are connected now, those included whom nobody answers."""
        with self._state:
            return len(self._lines)

    def url(self, of: str) -> str:
        """The SQLAlchemy URL `of` a database of the server, by way of this proxy."""
        return make_url(of).set(host=self.host, port=self.port).render_as_string(hide_password=False)

    def stall(self) -> None:
        """From here on nothing passes, ends of connections neither; new connections are accepted and stay silent."""
        self._become(stalled=True)

    def resume(self) -> None:
        """Let pass, in order, what was held back and what comes."""
        self._become(stalled=False)

    def cut(self) -> None:
        """Reset all connections, on both sides, and refuse new ones. There is no way back."""
        with self._state:
            if self._cut:
                return
            self._cut = True
            self._listener.close()
            for line in self._lines:
                line.close(reset=True)
            self._lines.clear()
        os.write(self._wake, b"x")

    # -- how

    def _become(self, *, stalled: bool) -> None:
        with self._state:
            self._stalled = stalled
        os.write(self._wake, b"x")

    def _serve(self) -> None:
        while True:
            with self._state:
                if self._cut:
                    return
                poll = self._interests()
            events = poll.poll()
            with self._state:
                if self._cut:
                    return
                # Of one that was closed meanwhile, the number may be another's by now: no harm, nothing here waits.
                self._turn(dict(events))

    def _interests(self) -> select.poll:
        """What there is to wait for. A line that is held back is not listened to, or poll would return at once."""
        wanted = {self._wake_reader: select.POLLIN, self._listener.fileno(): select.POLLIN}
        for half in [] if self._stalled else [half for line in self._lines for half in line.halves]:
            if half.held:
                wanted[half.sink.fileno()] = wanted.get(half.sink.fileno(), 0) | select.POLLOUT
            elif not half.ended:
                wanted[half.source.fileno()] = wanted.get(half.source.fileno(), 0) | select.POLLIN
        poll = select.poll()
        for number, events in wanted.items():
            poll.register(number, events)
        return poll

    def _turn(self, ready: dict[int, int]) -> None:
        if self._wake_reader in ready:
            os.read(self._wake_reader, CHUNK)
        if self._listener.fileno() in ready:
            with contextlib.suppress(BlockingIOError, ConnectionError):  # it has gone again
                self._lines.append(Line(self._listener.accept()[0]))
        if self._stalled:
            return
        for line in list(self._lines):
            try:
                if line.server is None:
                    line.connect(self._address)
                line.pass_on(ready)
            except OSError:
                self._end(line, reset=True)
            else:
                if all(half.done for half in line.halves):
                    self._end(line, reset=False)

    def _end(self, line: Line, *, reset: bool) -> None:
        self._lines.remove(line)
        line.close(reset=reset)


def through(project: AlembicProject, database: PostgresDatabase, proxy: StallingProxy) -> Path:
    """The project's alembic.ini, with the database reached by way of the proxy."""
    url = database.url.replace("%", "%%")
    ini = project.ini.with_name("through.ini")
    ini.write_text(project.ini.read_text().replace(url, proxy.url(database.url).replace("%", "%%")))
    return ini
