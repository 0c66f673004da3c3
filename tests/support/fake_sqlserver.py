"""A fake of SQL Server behind the drivers' own interface, because no SQL Server is available to these tests.

The fake does not prove that a server would agree. It proves that the program, its child process included, works with a
server that answers as Microsoft's documentation says. The T-SQL that is sent is parsed as T-SQL, translated to
SQLite's dialect, and executed on views that have the documented columns and no others. So a word that is no T-SQL, a
column that no view has, or a join that finds nothing fails a test. The users' tables are SQLite's too, in one file
that several processes may open, so a rollback really undoes a migration.

Features that SQLite lacks are simulated: sessions, lock waits, application locks, permissions, and errors that end the
transaction. A `Scene` describes the state of the server. This module is the server from the outside;
`tests/support/fakes` has the server itself and one module for each driver, by the driver's name. Each driver's module
gives errors that driver's shape, and is found because the folder is first on PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "FAKE_SQLSERVER"
FAKES = Path(__file__).with_name("fakes")
PASSWORD = "Pa}ss;w@rd"


@dataclass
class Other:
    """A session of another user; if it holds a table, it is idle in a transaction."""

    session: int
    holds: str | None = None
    application_lock: str | None = None
    login: str = "mage"
    program: str = "mage-server"
    query: str = "SELECT * FROM t1"


@dataclass
class Scene:
    """The state of the server."""

    others: list[Other] = field(default_factory=list)
    denied: bool = False  # whether the login lacks VIEW SERVER STATE
    missing: list[str] = field(default_factory=list)  # views that this kind of server does not have
    ends_transactions: bool = False  # whether every error ends the transaction
    read_only: bool = False
    may_kill: bool = True
    may_alter: bool = True

    @classmethod
    def read(cls, folder: Path) -> Scene:
        """Return the scene that a test has set, or the default scene."""
        path = folder / "scene.json"
        facts = json.loads(path.read_text()) if path.exists() else {}
        return cls(**{**facts, "others": [Other(**other) for other in facts.get("others", [])]})


@dataclass(frozen=True)
class FakeServer:
    """The server from the outside: a test sets it up, and inspects it afterwards."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which the program finds this server instead of a real one."""
        return {FOLDER_VARIABLE: str(self.folder), "PYTHONPATH": f"{FAKES}{os.pathsep}{FAKES.parents[2]}"}

    def set(self, scene: Scene) -> None:
        (self.folder / "scene.json").write_text(json.dumps(asdict(scene)))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read or change the committed data directly, without drivers and locks."""
        connection = sqlite3.connect(self.folder / "data.db", isolation_level=None)
        rows = connection.execute(sql).fetchall()
        connection.close()
        return rows

    @property
    def statements(self) -> list[str]:
        """All statements that any process has sent."""
        log = self.folder / "statements.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
