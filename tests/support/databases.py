"""One database of a test, PostgreSQL or SQLite: what is in it, compared whole, and what sits in its way."""

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

# What pg_dump writes anew each time (since the releases of August 2025).
PER_DUMP = re.compile(r"^\\(un)?restrict .*$", re.MULTILINE)


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of a server of the tests."""

    server: PostgresServer
    name: str
    dialect = "postgresql"

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in a session of its own, committed, and return its rows."""
        return self.server.execute(self.name, statement)

    @property
    def content(self) -> str:
        """Schema and data as pg_dump writes them: equal before and after means that nothing was changed."""
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
        """A session that ran `statement` in a transaction and leaves it open; end it with rollback()."""
        with closing(self.server.connect(self.name, application_name=application)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            yield connection


@dataclass(frozen=True)
class SqliteDatabase:
    """A file, which may not exist yet."""

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
        """The file's very bytes, in hexadecimal, so that both kinds of content are texts.

        Another process reads them: closing the file in this one would drop the locks that a test holds on it.
        """
        return subprocess.run(["cat", self.path], capture_output=True, check=True).stdout.hex()

    @property
    def current(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT version_num FROM alembic_version ORDER BY 1")]


Database = PostgresDatabase | SqliteDatabase
