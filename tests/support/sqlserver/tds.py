"""A server that speaks SQL Server's protocol ([MS-TDS], TDS 7.4), so that the real client drivers connect to it.

It knows as much of the protocol as these drivers use: prelogin, login, batches of SQL, calls of `sp_executesql` and its
relatives, transaction requests and attention signals. It knows no SQL: a `Session` answers each batch. TLS is not
supported, so that URLs say `Encrypt=no`. `tokens` writes the answers.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.sqlserver import tokens
from tests.support.sqlserver.parameters import called

HOST = "127.0.0.1"
BATCH, RPC, RESPONSE, ATTENTION, TRANSACTION_REQUEST, LOGIN, PRELOGIN = 1, 3, 4, 6, 14, 16, 18
LAST_PACKET = 1
BEGIN, COMMIT, ROLLBACK = 5, 7, 8  # transaction requests
PACKET_SIZE = 4096
NO_TLS = bytes((2,))  # ENCRYPT_NOT_SUP


@dataclass(frozen=True)
class Login:
    """What a client says of itself."""

    user: str
    password: str = field(repr=False)
    database: str
    application: str


@dataclass(frozen=True)
class Result:
    """The result of one statement: the rows if it has columns, else the number of rows that it changed (None: none)."""

    columns: tuple[str, ...] | None = None
    rows: tuple[tuple[Any, ...], ...] = ()
    changed: int | None = None


class ServerError(Exception):
    """An error as the server sends it. In the middle of a batch, `Session.batch` yields it instead of raising it."""

    def __init__(self, number: int, text: str, severity: int = 16) -> None:
        self.number, self.text, self.severity = number, text, severity
        super().__init__(text)


class Cancelled(Exception):  # noqa: N818 - an attention signal ended the batch; no error is sent
    """The client's attention signal ended the batch."""


class Session(Protocol):
    """One session of the server, behind the protocol."""

    in_transaction: bool
    killed: bool

    def batch(self, sql: str) -> Iterable[Result | ServerError]:
        """Execute a batch. Raises `ServerError` or `Cancelled`."""

    def begin(self) -> None:
        """Begin a transaction."""

    def commit(self) -> None:
        """Commit. Raises `ServerError` if no transaction is open."""

    def rollback(self) -> None:
        """Roll back. Raises `ServerError` if no transaction is open."""

    def cancel(self) -> None:
        """End the running batch. Called from another thread."""

    def close(self) -> None:
        """The client is gone."""


class TdsServer:
    """A listening server; `opened` makes the session of each login, or raises `ServerError`. Use it in `with`."""

    def __init__(self, opened: Callable[[Login, socket.socket], Session]) -> None:
        self.opened = opened
        self.answers = threading.Event()  # cleared: the server receives, and says nothing
        self.answers.set()
        self._listening = socket.create_server((HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        self.clients: list[socket.socket] = []

    def __enter__(self) -> TdsServer:
        threading.Thread(target=self._accept, name="tds", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        for line in (self._listening, *self.clients):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def fall_silent(self) -> None:
        """Say nothing from now on, to nobody, with every connection left open."""
        self.answers.clear()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listening.accept()
            except OSError:
                return
            self.clients.append(line)
            threading.Thread(target=_Client(self, line).serve, name="tds client", daemon=True).start()


class _Client:
    """One connection: this thread reads, and a second one executes, so that attention signals are seen meanwhile."""

    def __init__(self, server: TdsServer, line: socket.socket) -> None:
        self._server, self._line = server, line
        self._session: Session | None = None
        self._work: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._busy = self._attention = False
        self._prepared: dict[int, str] = {}
        self._transaction = 0

    def serve(self) -> None:
        executing = threading.Thread(target=self._execute_all, name="tds session", daemon=True)
        executing.start()
        with suppress(OSError, EOFError):
            while True:
                kind, data = self._message()
                if kind == ATTENTION:
                    self._note_attention()
                    continue
                with self._turn:
                    self._busy = True
                self._work.put((kind, data))
        self._work.put(None)
        if self._session is not None:
            self._session.cancel()
            executing.join()
            self._session.close()
        self._line.close()

    def _note_attention(self) -> None:
        with self._turn:
            self._attention = self._busy
            if not self._busy:
                self._send(tokens.done(attention=True))
        if self._attention and self._session is not None:
            self._session.cancel()

    def _execute_all(self) -> None:
        with suppress(OSError):
            try:
                while work := self._work.get():
                    self._execute(*work)
            finally:  # also after an error of the fake's own: its client must not wait for ever
                self._line.shutdown(socket.SHUT_RDWR)

    def _execute(self, kind: int, data: bytes) -> None:
        answer = self._answer(kind, data)
        with self._turn:
            if self._attention:
                answer += tokens.done(attention=True)
            self._busy = self._attention = False
            self._send(answer)
        if self._session is not None and self._session.killed:
            self._line.shutdown(socket.SHUT_RDWR)

    # -- packets

    def _message(self) -> tuple[int, bytes]:
        data = b""
        while True:
            kind, status, length = struct.unpack(">BBH4x", self._exactly(8))
            data += self._exactly(length - 8)
            if status & LAST_PACKET:
                return kind, data

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._line.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def _send(self, data: bytes) -> None:
        self._server.answers.wait()
        pieces = [data[start : start + PACKET_SIZE - 8] for start in range(0, len(data), PACKET_SIZE - 8)] or [b""]
        for number, piece in enumerate(pieces, start=1):
            last = LAST_PACKET if number == len(pieces) else 0
            self._line.sendall(struct.pack(">BBHHBB", RESPONSE, last, len(piece) + 8, 0, number % 256, 0) + piece)

    # -- messages

    def _answer(self, kind: int, data: bytes) -> bytes:
        if kind == PRELOGIN:
            return tokens.prelogin(NO_TLS)
        if kind == LOGIN:
            return self._logged_in(data)
        if self._session is None:
            return tokens.done(error=True)  # FreeTDS tries older protocols if nobody answers
        headers = struct.unpack_from("<I", data)[0]
        body = data[headers:]
        if kind == TRANSACTION_REQUEST:
            return self._ended(struct.unpack_from("<H", body)[0])
        if kind == BATCH:
            return self._executed(body.decode("utf-16-le"))
        assert kind == RPC, kind
        call = called(body, self._prepared)
        answer = b"" if call.sql is None else self._executed(call.sql, in_procedure=True)
        return answer + tokens.return_status() + tokens.returned(call.handle) + tokens.done(kind=tokens.DONE_PROCEDURE)

    def _logged_in(self, data: bytes) -> bytes:
        login = _login(data)
        try:
            self._session = self._server.opened(login, self._line)
        except ServerError as error:
            return tokens.error(error.number, error.text, error.severity) + tokens.done(error=True)
        return tokens.logged_in(login.database)

    def _executed(self, sql: str, *, in_procedure: bool = False) -> bytes:
        """Return the answer to a batch. Every result but the last one says that more follows."""
        assert self._session is not None
        kind = tokens.DONE_IN_PROCEDURE if in_procedure else tokens.DONE
        parts: list[tuple[bytes, Result | ServerError]] = []
        try:
            for result in self._session.batch(sql):
                parts.append((self._environment(), result))
        except ServerError as error:
            parts.append((self._environment(), error))
        except Cancelled:
            return tokens.done(kind=kind, more=True, error=True)
        answer = b""
        for number, (before, result) in enumerate(parts, start=1):
            more = in_procedure or number < len(parts)
            if isinstance(result, ServerError):
                answer += before + tokens.error(result.number, result.text, result.severity)
                answer += tokens.done(kind=kind, more=more, error=True)
            else:
                rows = b"" if result.columns is None else tokens.rows(result.columns, result.rows)
                count = len(result.rows) if result.columns is not None else result.changed
                answer += before + rows + tokens.done(kind=kind, more=more, count=count)
        return answer or self._environment() + tokens.done(kind=kind, more=in_procedure)

    def _ended(self, request: int) -> bytes:
        assert self._session is not None
        action = {BEGIN: self._session.begin, COMMIT: self._session.commit, ROLLBACK: self._session.rollback}[request]
        try:
            action()
        except ServerError as error:
            return tokens.error(error.number, error.text, error.severity) + tokens.done(error=True)
        return self._environment(rolled_back=request == ROLLBACK) + tokens.done()

    def _environment(self, *, rolled_back: bool = True) -> bytes:
        """Return the change of the transaction's state since the last call, as the server tells its clients."""
        assert self._session is not None
        if self._session.in_transaction == bool(self._transaction):
            return b""
        before, self._transaction = self._transaction, 0 if self._transaction else 1
        return tokens.transaction_changed(before, self._transaction, rolled_back=rolled_back)


def _login(data: bytes) -> Login:
    """Return the parts of a LOGIN7 message; the password's bytes are masked ([MS-TDS] 2.2.6.4)."""

    def part(place: int) -> bytes:
        start, length = struct.unpack_from("<HH", data, place)
        return data[start : start + 2 * length]

    masked = (byte ^ 0xA5 for byte in part(44))
    password = bytes((byte << 4 | byte >> 4) & 0xFF for byte in masked)
    user, application, database = (part(place).decode("utf-16-le") for place in (40, 48, 68))
    return Login(user, password.decode("utf-16-le"), database, application)
