"""A proxy in front of a server that can stall its connections or reset them.

A stopped server refuses connections, and the kernel still answers for a frozen server (SIGSTOP). Operators meet other
failures: a firewall that has forgotten a connection, a failover, a cable. The proxy imitates them: its connections
hold all data back for a while, or end at once.

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
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() resets the connection and drops unsent data


@dataclass(eq=False)
class Flow:
    """One direction of a connection. At most one chunk is held; the rest waits in the sender's kernel."""

    source: socket.socket
    sink: socket.socket
    held: bytes = b""
    ended: bool = False  # the source has sent all its data
    done: bool = False  # and the sink has seen the end


@dataclass(eq=False)
class Line:
    """A client's connection, and the matching connection to the server after `connect`."""

    client: socket.socket
    server: socket.socket | None = None
    flows: list[Flow] = field(default_factory=list)

    def connect(self, address: tuple[str, int]) -> None:
        """Connect to the server. OSError if the server refuses."""
        self.server = socket.create_connection(address, timeout=CONNECT_SECONDS)
        for end in (self.client, self.server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.flows = [Flow(self.client, self.server), Flow(self.server, self.client)]

    def pass_on(self, ready: dict[int, int]) -> None:
        """Move the data that can move without waiting. OSError if one side broke the connection."""
        for flow in self.flows:
            if ready.get(flow.source.fileno(), 0) & ~select.POLLOUT and not flow.held and not flow.ended:
                with contextlib.suppress(BlockingIOError):
                    flow.held = flow.source.recv(CHUNK)
                    flow.ended = not flow.held
            if flow.held:
                with contextlib.suppress(BlockingIOError):
                    flow.held = flow.held[flow.sink.send(flow.held) :]
            if flow.ended and not flow.held and not flow.done:
                flow.sink.shutdown(socket.SHUT_WR)
                flow.done = True

    def close(self, *, reset: bool) -> None:
        """Close both connections; `reset` drops unsent data."""
        for end in (self.client, self.server):
            if end is not None:
                with contextlib.suppress(OSError):
                    if reset:
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                end.close()


class StallingProxy:
    """Listen on a port from creation until `cut` or the end of the `with` block."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._listener = socket.create_server((HERE, 0), backlog=BACKLOG)
        self._listener.setblocking(False)
        self.host, self.port = HERE, int(self._listener.getsockname()[1])
        self._lines: list[Line] = []
        self._stalled = self._cut = False
        self._state = threading.Lock()  # held while bytes move: no byte moves after stall() or cut()
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
        """Return the number of connected clients, including those that get no answer."""
        with self._state:
            return len(self._lines)

    def url(self, direct: str) -> str:
        """Return the SQLAlchemy URL through this proxy for a direct URL of the server."""
        return make_url(direct).set(host=self.host, port=self.port).render_as_string(hide_password=False)

    def stall(self) -> None:
        """Hold all data and all ends of connections back. New connections are accepted and get no answer."""
        self._become(stalled=True)

    def resume(self) -> None:
        """Pass on the held data, in order, and all later data."""
        self._become(stalled=False)

    def cut(self) -> None:
        """Reset all connections on both sides and refuse new connections. This cannot be undone."""
        with self._state:
            if self._cut:
                return
            self._cut = True
            with contextlib.suppress(OSError):  # macOS: not connected
                # The thread polls the listener. Until it wakes, a listener that is only closed accepts connections.
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for line in self._lines:
                line.close(reset=True)
            self._lines.clear()
        os.write(self._wake, b"x")

    # -- implementation

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
                # The number of a closed descriptor may belong to another file by now. Nothing here blocks, so no harm.
                self._turn(dict(events))

    def _interests(self) -> select.poll:
        """Return the events to wait for. Stalled connections are left out, or poll would return at once."""
        wanted = {self._wake_reader: select.POLLIN, self._listener.fileno(): select.POLLIN}
        for flow in [] if self._stalled else [flow for line in self._lines for flow in line.flows]:
            if flow.held:
                wanted[flow.sink.fileno()] = wanted.get(flow.sink.fileno(), 0) | select.POLLOUT
            elif not flow.ended:
                wanted[flow.source.fileno()] = wanted.get(flow.source.fileno(), 0) | select.POLLIN
        poll = select.poll()
        for number, events in wanted.items():
            poll.register(number, events)
        return poll

    def _turn(self, ready: dict[int, int]) -> None:
        if self._wake_reader in ready:
            os.read(self._wake_reader, CHUNK)
        if self._listener.fileno() in ready:
            with contextlib.suppress(BlockingIOError, ConnectionError):  # the client has left again
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
                if all(flow.done for flow in line.flows):
                    self._end(line, reset=False)

    def _end(self, line: Line, *, reset: bool) -> None:
        self._lines.remove(line)
        line.close(reset=reset)


def through(project: AlembicProject, database: PostgresDatabase, proxy: StallingProxy) -> Path:
    """Write and return a copy of the project's alembic.ini whose URL goes through the proxy."""
    url = database.url.replace("%", "%%")
    ini = project.ini.with_name("through.ini")
    ini.write_text(project.ini.read_text().replace(url, proxy.url(database.url).replace("%", "%%")))
    return ini
