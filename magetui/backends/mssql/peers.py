"""The sockets of this process that lead to a server, found by its address: no driver gives access to its own."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy.engine import URL

from magetui.protocol import odbc

DEFAULT_PORT = 1433
DESCRIPTORS = Path("/dev/fd")  # of this process, on Linux and macOS
Peer = tuple[str, int | None]  # an IP address, and the port if it is known


def peers_of(url: URL) -> frozenset[Peer]:
    """Return the addresses of the URL's server; the port is unknown with a named instance. Empty for a DSN."""
    given = url.query.get(odbc.PARAMETER)
    string = odbc.parsed(given) if isinstance(given, str) else None
    if string is not None and string.value(odbc.SERVER) is None:
        return frozenset()
    host, port = (url.host, url.port) if string is None else (string.host, string.port)
    name, _, instance = (host or "localhost").partition("\\")
    known_port = None if instance else port or DEFAULT_PORT
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return frozenset()
    return frozenset((str(address[0]), known_port) for *_, address in found)


def shut_down(peers: Collection[Peer]) -> None:
    """Shut down every connection of this process to one of `peers`, so that the drivers take them for broken."""
    for entry in DESCRIPTORS.iterdir() if peers else ():
        with suppress(OSError):  # closed since, or a socket without a peer
            if not stat.S_ISSOCK(os.fstat(int(entry.name)).st_mode):
                continue
            # Our own socket object for the same peer: the driver's descriptor may belong to another file by then.
            with closing(socket.socket(fileno=os.dup(int(entry.name)))) as line:
                if line.family in (socket.AF_INET, socket.AF_INET6) and _is_among(line.getpeername(), peers):
                    line.shutdown(socket.SHUT_RDWR)


def _is_among(peer: tuple[object, ...], peers: Collection[Peer]) -> bool:
    host, port = str(peer[0]).removeprefix("::ffff:"), peer[1]
    return any(host == known and known_port in (None, port) for known, known_port in peers)
