"""All facts of a database at one moment, read on one connection that cannot write and does not wait.

A `Reading` is that connection. Whoever plans, diagnoses or previews takes it, or the snapshot that was read on it, and
opens no connection of its own. The overview comes first, because it is the first answer that an operator waits for. The
details of all tables take longer on a large schema, so they are read when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

from magetui.engine.errors import MagetuiError
from magetui.engine.target.target import database_file

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from magetui.engine.workspace import Workspace
    from magetui.model.schema import Counted, EnumType, Leftover, Table, TableDetail, VersionTable, Wanted
    from magetui.model.server import ServerFacts
    from magetui.model.sessions import MutexHolder, Session
    from magetui.model.surroundings import Castable, Found, Surroundings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Overview:
    """The part of a snapshot that a diagnosis and the steps of a plan need: a fixed number of catalog queries."""

    server: ServerFacts
    version_tables: tuple[VersionTable, ...]
    tables: tuple[Table, ...]
    sessions: tuple[Session, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    not_owned: tuple[Table, ...] = ()
    withheld: tuple[Table, ...] = ()  # the owner of the version table has no right on them
    mutex: MutexHolder | None = None
    file_missing: str | None = None  # the SQLite file that does not exist yet

    @property
    def version_table(self) -> VersionTable | None:
        return next((table for table in self.version_tables if table.effective), None)

    @property
    def current(self) -> tuple[str, ...]:
        table = self.version_table
        return table.rows if table is not None and table.rows is not None else ()


@dataclass(frozen=True, slots=True)
class Snapshot(Overview):
    """The complete snapshot: the overview, the details of each table, and the enum types."""

    details: tuple[TableDetail, ...] = ()
    enum_types: tuple[EnumType, ...] = ()


class Reading:
    """One connection to the database of a workspace, and what was read on it.

    The first read opens the connection. Each fact is read once. All members raise `ConnectError` if no connection can
    be opened, and `MagetuiError` if a read fails.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._connection: Connection | None = None
        self._overview: Overview | None = None
        self._snapshot: Snapshot | None = None
        self._definitions: tuple[str, ...] | None = None
        self._surroundings: Surroundings | None = None

    @property
    def overview(self) -> Overview:
        if self._overview is None:
            self._overview = self._read(self._read_overview)
        return self._overview

    @property
    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            overview = self.overview
            self._snapshot = self._read(lambda connection: self._read_snapshot(connection, overview))
        return self._snapshot

    @property
    def definitions(self) -> tuple[str, ...]:
        """The SQL that makes the schema without its rows, for a dialect that renders changes from it; else nothing."""
        if self._definitions is None:
            self._definitions = self._read(self.workspace.backend.definitions)
        return self._definitions

    def count(self, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[Counted, ...]:
        """Count rows of a table within `limit_ms`, or estimate them: see `Backend.count`."""
        return self._read(lambda connection: self.workspace.backend.count(connection, table, wanted, limit_ms))

    @property
    def surroundings(self) -> Surroundings:
        if self._surroundings is None:
            self._surroundings = self._read(self.workspace.backend.surroundings)
        return self._surroundings

    def find(self, sql: str, limit_ms: int) -> Found:
        """Return the first rows of a query, and how many there are: see `Backend.find`."""
        return self._read(lambda connection: self.workspace.backend.find(connection, sql, limit_ms))

    def castable(self, old: str, new: str) -> Castable | None:
        """Return how the server turns values of one type into another: see `Backend.castable`."""
        return self._read(lambda connection: self.workspace.backend.castable(connection, old, new))

    def read_all(self) -> None:
        """Read the snapshot and close the connection, so that the connection does not idle during what follows."""
        self._snapshot = self.snapshot
        self.close()

    def close(self) -> None:
        """Close the connection. What was read stays; another read would open another connection."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with self.workspace.explaining():
                connection.close()

    def _read(self, read: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = self.workspace.connect()
        try:
            with self.workspace.explaining():
                return read(self._connection)
        except MagetuiError:
            self.close()  # it may be lost, and another fact may still be readable on a new one
            raise

    def _read_overview(self, connection: Connection) -> Overview:
        workspace, backend = self.workspace, self.workspace.backend
        scripts = workspace.project.scripts
        file = database_file(workspace.target.url)
        missing = str(file) if file is not None and not file.exists() else None
        server = backend.server(connection)
        mutex = backend.mutex_holder(connection, workspace.project.mutex_key, workspace.target.url)
        sessions = tuple(s for s in backend.sessions(connection) if not s.is_passing_reader)
        return Overview(
            server=server if missing is None else replace(server, database=missing),  # it is read as an empty database
            version_tables=backend.version_tables(connection, scripts.version_table, scripts.version_table_schema),
            tables=backend.tables(connection),
            sessions=sessions,
            leftovers=backend.leftovers(connection),
            not_owned=backend.not_owned(connection),
            withheld=backend.withheld(connection, scripts.version_table, scripts.version_table_schema),
            mutex=mutex.found_in(sessions) if mutex is not None else None,
            file_missing=missing,
        )

    def _read_snapshot(self, connection: Connection, overview: Overview) -> Snapshot:
        backend = self.workspace.backend
        return Snapshot(
            **{field.name: getattr(overview, field.name) for field in fields(Overview)},
            details=backend.table_details(connection),
            enum_types=backend.enum_types(connection),
        )


def open_reading(workspace: Workspace) -> closing[Reading]:
    """Return a context with a reading of the workspace's database, whose connection it closes afterwards."""
    return closing(Reading(workspace))
