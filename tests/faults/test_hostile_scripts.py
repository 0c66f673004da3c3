"""Scripts that act when they are called: reading them must not, and says what they would do."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.deeds import DEEDS, Deed
from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase
from tests.support.forked import REAL_STARTS
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

ENDLESS = ("never end", "print without end", "take all memory")
KNOWN_TABLES = [("alembic_version",), ("t1",)]
FIRST = Revision("base1", None, "First", 'op.create_table("t1", sa.Column("id", sa.Integer))', 'op.drop_table("t1")')


@dataclass
class Outside:
    """What is outside of a project and its database: a folder, a socket that listens, a process."""

    folder: Path
    victim: subprocess.Popen[bytes]
    listener: socket.socket
    visitors: list[object] = field(default_factory=list)

    @property
    def names(self) -> dict[str, object]:
        port = self.listener.getsockname()[1]
        return {"OUTSIDE": str(self.folder), "PORT": port, "VICTIM": self.victim.pid}

    @property
    def seen(self) -> object:
        """Return everything that a deed could change."""
        files = {
            str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mode, path.stat().st_mtime_ns)
            for path in sorted([self.folder, *self.folder.rglob("*")])
        }
        return files, self.victim.poll(), tuple(self.visitors)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept").write_text("keep me")
    victim = subprocess.Popen(["/bin/sleep", "600"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outside = Outside(folder, victim, listener)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, address = listener.accept()
                    outside.visitors.append(address)
                    connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield outside
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    victim.kill()
    victim.wait()


def hostile(folder: Path, database: Database, outside: Outside, deeds: tuple[Deed, ...]) -> AlembicProject:
    """Return a project with a script for each deed, in a row, which it does in both directions."""
    driver = database.url.replace("postgresql://", "postgresql+psycopg2://")
    revisions = [FIRST]
    for number, deed in enumerate(deeds):
        own = driver if "create_engine" in deed.lines else database.url
        lines = deed.lines
        for name, value in {**outside.names, "URL": own}.items():
            lines = lines.replace(name, repr(value))
        revisions.append(Revision(f"deed{number:02}", revisions[-1].id, deed.name, lines, lines))
    return make_project(folder / "project", revisions, database.url)


def tables(database: Database) -> list[tuple[str]]:
    if isinstance(database, PostgresDatabase):
        return database.rows("select tablename from pg_tables where schemaname = 'public' order by 1")
    return database.rows("select name from sqlite_master where type = 'table' order by 1")


def at_first(database: Database) -> None:
    database.rows("create table t1 (id integer)")
    database.rows("create table alembic_version (version_num varchar(32) not null primary key)")
    database.rows("insert into alembic_version values ('base1')")


@pytest.mark.timeout(400)
def test_reading_hostile_scripts_does_nothing_outside_and_says_what_each_would_do(
    magetui: Magetui, database: Database, outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REAL_STARTS, "1")  # the child imports drivers behind the barrier, not before
    at_first(database)
    project = hostile(tmp_path, database, outside, DEEDS)
    before = outside.seen
    config = ("--config", project.ini)
    assert magetui("diagnose", "--json", "--read-only", *config, timeout=300).status in (0, 3)
    plan = magetui("plan", "migrate", "--json", *config, timeout=300)
    assert magetui("evidence", "--json", *config, timeout=300).status in (0, 3)
    assert outside.seen == before
    assert tables(database) == KNOWN_TABLES
    told = {step["revision"]: step["undecidable"] for step in plan.json["steps"]}
    for number, deed in enumerate(DEEDS):
        assert deed.told is None or deed.told in (told[f"deed{number:02}"] or ""), deed.name
    assert "(deed00_remove.py, line 19)" in told["deed00"]
    assert not [path for path in project.directory.rglob("*") if path.suffix == ".pyc" or path.name == "core"]


def test_the_screen_that_opens_on_hostile_scripts_and_shows_their_plan_does_nothing_outside(
    pg_database: PostgresDatabase, outside: Outside, tmp_path: Path
) -> None:
    at_first(pg_database)
    deeds = tuple(deed for deed in DEEDS if deed.name not in ENDLESS)
    project = hostile(tmp_path, pg_database, outside, deeds)
    before = outside.seen
    with Terminal(Magetui.command("--config", project.ini), (80, 24), {}, tmp_path) as terminal:
        terminal.wait_for("BEHIND BY")
        terminal.press("m")
        terminal.wait_for(r"would\s+remove")
        terminal.press("escape")
        terminal.wait_for("BEHIND BY")
        terminal.press("e")
        terminal.wait_for("deed00")
    assert outside.seen == before
    assert tables(pg_database) == KNOWN_TABLES


@pytest.mark.parametrize(
    "deed", [deed for deed in DEEDS if deed.name not in ("never end", "take all memory")], ids=lambda deed: deed.name
)
def test_verifying_a_hostile_script_does_nothing_outside(
    magetui: Magetui, pg_database: PostgresDatabase, outside: Outside, tmp_path: Path, deed: Deed
) -> None:
    at_first(pg_database)
    project = hostile(tmp_path, pg_database, outside, (deed,))
    before = outside.seen
    done = magetui("verify", "deed00", "--yes", "--config", project.ini, timeout=120)
    assert outside.seen == before, done
    assert tables(pg_database) == KNOWN_TABLES
    assert deed.told is None or deed.told in done.stderr, done
