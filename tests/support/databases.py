"""One database of a test, PostgreSQL or SQLite: its rows, its complete content, its current revision."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2 import extensions

from tests.support.postgres import PASSWORD, USER, PostgresServer

# Lines that differ in each pg_dump (since the releases of August 2025).
PER_DUMP = re.compile(r"^\\(un)?restrict .*$", re.MULTILINE)


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of a test server."""

    server: PostgresServer
    name: str
    dialect = "postgresql"

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in its own session, commit, and return its rows."""
        return self.server.execute(self.name, statement)

    @property
    def content(self) -> str:
        """Return schema and data as pg_dump writes them. Equal content means that nothing has changed."""
        done = subprocess.run(
            [
                self.server.bin / "pg_dump",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.server.port),
                "-U",
                USER,
                self.name,
            ],
            env={"PGPASSWORD": PASSWORD, "PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return PER_DUMP.sub("", done.stdout)

    @property
    def current(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT version_num FROM alembic_version ORDER BY 1")]

    @contextmanager
    def session(self, statement: str, application: str = "mage-server") -> Iterator[extensions.connection]:
        """Yield a session that ran `statement` in a transaction that stays open. End it with rollback()."""
        with closing(self.server.connect(self.name, application_name=application)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            yield connection


@dataclass(frozen=True)
class SqliteDatabase:
    """A database file, which may not exist yet."""

    path: Path
    dialect = "sqlite"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute(statement).fetchall()
            connection.commit()
            return rows

    @property
    def content(self) -> str:
        """Return the file's bytes in hexadecimal, so that both kinds of content are text.

        Another process reads the file. Closing it in this process would release the locks that a test holds on it.
        """
        return subprocess.run(["cat", self.path], capture_output=True, check=True).stdout.hex()

    @property
    def current(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT version_num FROM alembic_version ORDER BY 1")]


Database = PostgresDatabase | SqliteDatabase
