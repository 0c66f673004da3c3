"""What the database says at one moment, read on one connection that cannot write and does not wait."""

from __future__ import annotations

from dataclasses import dataclass, replace

from magetui.engine.project.project import Project
from magetui.engine.target.target import database_file
from magetui.engine.workspace import Workspace
from magetui.model.schema import Leftover, Table, VersionTable
from magetui.model.server import ServerFacts
from magetui.model.sessions import MutexHolder, Session


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What was read from the database at one moment."""

    server: ServerFacts
    version_tables: tuple[VersionTable, ...]
    tables: tuple[Table, ...]
    sessions: tuple[Session, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    not_owned: tuple[Table, ...] = ()
    mutex: MutexHolder | None = None
    file_missing: str | None = None  # the SQLite file that does not exist yet

    @property
    def version_table(self) -> VersionTable | None:
        return next((table for table in self.version_tables if table.effective), None)

    @property
    def current(self) -> tuple[str, ...]:
        table = self.version_table
        return table.rows if table is not None and table.rows is not None else ()


def read_state(workspace: Workspace, project: Project) -> DatabaseState:
    """What the database says, on one connection. Raises `ConnectError` or `MagetuiError`."""
    backend, scripts = workspace.backend, project.scripts
    file = database_file(workspace.target.url)
    missing = str(file) if file is not None and not file.exists() else None
    with workspace.reading() as connection:
        server = backend.server(connection)
        return DatabaseState(
            server=server if missing is None else replace(server, database=missing),  # it is read as an empty one
            version_tables=backend.version_tables(connection, scripts.version_table, scripts.version_table_schema),
            tables=backend.tables(connection),
            sessions=backend.sessions(connection),
            leftovers=backend.leftovers(connection),
            not_owned=backend.not_owned(connection),
            mutex=backend.mutex_holder(connection, project.mutex_key, workspace.target.url),
            file_missing=missing,
        )
