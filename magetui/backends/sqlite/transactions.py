"""Transactions on connections that migrate a SQLite database: DDL is atomic, and waits for locks are visible.

Two habits of Python's driver are corrected here. It does not open a transaction before DDL, so a failed upgrade would
leave a part of its operations behind. So the driver's transaction control is turned off, and BEGIN IMMEDIATE is
executed instead. And the driver waits for locks inside C, where no signal is handled. So a lock is polled in short
tries. Then a countdown can be shown and the wait can be cancelled.

A script may begin a transaction of its own, since there is none when Alembic runs it. Here it becomes a savepoint.
"""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from magetui.backends.base import WriteHooks
from magetui.backends.sqlite.async_driver import Driver, driver_of
from magetui.backends.sqlite.files import DATABASE_LIST_SQL, main_file
from magetui.backends.sqlite.foreign_keys import ForeignKeysOff
from magetui.model.server import Timeouts

TRY_MS = 50
FOREIGN_KEYS = "magetui_foreign_keys"  # the key of `ForeignKeysOff` in the facts of a connection
FOREIGN_KEYS_OFF = re.compile(
    r"\s*pragma\s+(?:\w+\s*\.\s*)?foreign_keys\s*[=(]\s*['\"]?(?:off|0|false|no)\b", re.IGNORECASE
)
OWN_TRANSACTION = re.compile(
    r"\s*(begin|commit|end|rollback)(?:\s+(?:deferred|immediate|exclusive))?(?:\s+transaction)?\s*;?\s*", re.IGNORECASE
)
SAVEPOINT = "magetui_transaction_of_script"
READS = re.compile(r"\s*(?:select|pragma)\b", re.IGNORECASE)
FOREIGN_KEYS_STAY_ON = (
    "SQLite ignores PRAGMA foreign_keys in the middle of a transaction, and rows could be lost. Migrate to the "
    "revision before this one first, then continue from there."
)


@dataclass(eq=False)
class Transactions:
    """Event handlers for an engine that migrates; they ignore readers and other kinds of databases."""

    timeouts: Timeouts
    hooks: WriteHooks
    writers: dict[str, Driver] = field(default_factory=dict)  # by file, the connection that began to write

    def listen(self, engine: Engine | type[Engine]) -> None:
        """Handle the events of every connection that `engine` opens from now on."""
        event.listen(engine, "engine_connect", self._prepare)
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "before_cursor_execute", self._executing, retval=True)
        event.listen(engine, "commit", self._commit)
        event.listen(engine, "rollback", self._rollback)

    def _prepare(self, connection: Connection, *_: Any) -> None:
        raw = _writer_of(connection)
        if raw is not None and not connection.info.get("magetui"):
            connection.info["magetui"] = True
            raw.isolation_level = None
            raw.execute(f"pragma busy_timeout = {TRY_MS}")

    def _begin(self, connection: Connection) -> None:
        raw = _writer_of(connection)
        autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if raw is None or raw.in_transaction or autocommit:
            return
        connection.info["magetui_wrote"] = False
        file = main_file(raw.execute(DATABASE_LIST_SQL))
        writer = self.writers.get(file)
        still_writes = False
        with suppress(sqlite3.ProgrammingError):  # the connection is closed
            still_writes = writer is not None and writer is not raw and writer.in_transaction
        if file and still_writes:
            raw.execute("begin")  # BEGIN IMMEDIATE on a script's second connection would wait for our own lock
            return
        self.writers[file] = raw
        if self.hooks.takes_tables:
            connection.info[FOREIGN_KEYS] = ForeignKeysOff.begin(raw)
        self._in_short_tries(raw, "begin immediate")

    def _executing(
        self, connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> tuple[str, Any]:
        """Return the statement to execute in place of the script's."""
        self._turn_foreign_keys_off(connection, statement)
        return _nested(connection, statement), parameters

    def _turn_foreign_keys_off(self, connection: Connection, statement: str) -> None:
        """Let a script turn foreign keys off, which SQLite ignores inside a transaction (sqlite.org/pragma.html).

        Otherwise a batch operation that rebuilds a table would delete the rows that refer to that table.
        """
        raw = _writer_of(connection)
        if raw is None or not raw.in_transaction:
            return
        if not FOREIGN_KEYS_OFF.match(statement):
            connection.info["magetui_wrote"] = connection.info.get("magetui_wrote") or not READS.match(statement)
            return
        if not raw.execute("pragma foreign_keys").fetchone()[0]:
            return
        if connection.info.get("magetui_wrote"):
            raise sqlite3.OperationalError(FOREIGN_KEYS_STAY_ON)
        raw.execute("rollback")
        raw.execute("pragma foreign_keys = off")
        self._in_short_tries(raw, "begin immediate")

    def _commit(self, connection: Connection) -> None:
        raw = _writer_of(connection)
        if raw is None or not raw.in_transaction:
            return
        off = connection.info.pop(FOREIGN_KEYS, None)
        if off is not None:
            off.check(raw)
        self._in_short_tries(raw, "commit")  # readers block a commit
        if off is not None:
            raw.execute("pragma foreign_keys = on")

    def _rollback(self, connection: Connection) -> None:
        raw = _writer_of(connection)
        if raw is not None and connection.info.pop(FOREIGN_KEYS, None) is not None:
            if raw.in_transaction:
                raw.execute("rollback")
            raw.execute("pragma foreign_keys = on")

    def _in_short_tries(self, raw: Driver, statement: str) -> None:
        """Execute a statement that may meet a lock, in tries of `TRY_MS`, until the lock timeout is over."""
        started = time.monotonic()
        limit_ms = self.timeouts.lock_ms
        while True:
            try:
                raw.execute(statement)
            except sqlite3.OperationalError as error:
                elapsed_ms = int((time.monotonic() - started) * 1000)
                if "locked" not in str(error) or (limit_ms and elapsed_ms >= limit_ms):
                    raise
                self.hooks.waited(elapsed_ms)
            else:
                self.hooks.obtained()
                return


def _nested(connection: Connection, statement: str) -> str:
    """Return the statement, in which a script begins or ends a transaction inside ours, as one on a savepoint.

    SQLite has no nested transactions, and what the script commits must still be undone if its revision fails.
    """
    own = OWN_TRANSACTION.fullmatch(statement)
    raw = _writer_of(connection) if own is not None else None
    if own is None or raw is None or not raw.in_transaction:
        return statement
    verb = own[1].lower()
    if verb == "begin":
        connection.info["magetui_savepoint"] = True
        return f"savepoint {SAVEPOINT}"
    if not connection.info.pop("magetui_savepoint", False):
        return statement
    if verb == "rollback":
        raw.execute(f"rollback to {SAVEPOINT}")
    return f"release {SAVEPOINT}"


def _writer_of(connection: Connection) -> Driver | None:
    """Return the driver's connection; None for our readers and for other kinds of databases."""
    return None if connection.get_execution_options().get("magetui_reads") else driver_of(connection)
