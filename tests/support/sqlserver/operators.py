"""An operator who works on the fake SQL Server through a real driver, and the fixture that gives one to a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui, Outcome
from tests.support.live import Live
from tests.support.sqlserver.drivers import odbc_environment, url
from tests.support.sqlserver.server import PASSWORD, FakeServer

ENCODED = quote(PASSWORD, safe="")
SECRETS = (PASSWORD, ENCODED, PASSWORD.replace("}", "}}"), "w@rd", "w%40rd")


class Operator:
    """An operator who works on the fake server through one driver; no output may contain the password."""

    def __init__(
        self, magetui: Magetui, server: FakeServer, project: AlembicProject, environment: dict[str, str]
    ) -> None:
        self._magetui = magetui
        self.server = server
        self.project = project
        self.environment = environment
        self.url = url("pymssql", server.port)

    def __call__(self, *words: object, driver: str | None = None, timeout: float = 60) -> Outcome:
        done = self._magetui(*words, *self.flags(driver), env=self.environment, timeout=timeout)
        for secret in SECRETS:
            assert secret not in done.stdout + done.stderr
        return done

    def choosing(self, target: str, *words: object) -> Outcome:
        """Run a command on a target of the configuration file."""
        done = self._magetui(*words, "--target", target, env=self.environment)
        for secret in SECRETS:
            assert secret not in done.stdout + done.stderr
        return done

    def start(self, *words: object, driver: str) -> Live:
        """Start a command, whose output the caller reads while it runs."""
        return Live(self._magetui.start(*words, *self.flags(driver), env=self.environment))

    def flags(self, driver: str | None = None) -> tuple[object, ...]:
        where = self.url if driver is None else url(driver, self.server.port)
        return ("--config", self.project.ini, "--url", where)

    def revises(self, upgrade: str) -> None:
        """Let rev2 execute these lines, after rev1 has created t1."""
        self.project.add(Revision("rev2", "rev1", "Create t2", upgrade, "pass"))

    def migrated(self) -> None:
        """Bring the database to the state after a migration to rev2, in less time."""
        for number in (1, 2):
            self.server.query(f"create table t{number} (id integer primary key autoincrement, name text(50) not null)")
        self.server.query("create table alembic_version (version_num text(32) not null primary key)")
        self.server.query("insert into alembic_version values ('rev2')")

    @property
    def current(self) -> list[str]:
        return [row[0] for row in self.server.query("select version_num from alembic_version")]

    @property
    def tables(self) -> set[str]:
        return {row[0] for row in self.server.query("select name from sqlite_master where type = 'table'")}


@pytest.fixture
def operator(magetui: Magetui, tmp_path: Path, state_dir: Path) -> Iterator[Operator]:
    """An empty database, and a project with two revisions that create t1 and t2."""
    folder = tmp_path / "server"
    folder.mkdir()
    project = make_project(tmp_path / "project", linear(2), "sqlite://")
    with FakeServer(folder) as server:
        yield Operator(magetui, server, project, odbc_environment(folder))
    for journal in (state_dir / "runs").glob("*"):
        text = journal.read_text()
        assert not [secret for secret in SECRETS if secret in text]
