"""A SQLite file as an operator finds it: partially migrated, oddly named, or locked by another process."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from magetui.backends.sqlite import catalog, counts
from magetui.backends.sqlite.backend import SQLite
from magetui.backends.sqlite.sessions import sessions
from magetui.model.schema import Column, Constraint, ForeignKey, Index, Leftover, Table, Wanted
from magetui.model.sessions import HeldLock

# Opens the database, executes statements, reports that it is ready, and stays until its input ends.
OTHER_PROCESS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchone()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mage-ai.db"


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    with SQLite().reader(make_url(f"sqlite:///{path}"), "magetui").connect() as connection:
        yield connection


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@contextmanager
def other_process(path: Path, *statements: str, script: Path | None = None) -> Iterator[int]:
    """Yield the pid of a process that has run the statements and stays."""
    command = [
        sys.executable,
        *(["-c", OTHER_PROCESS] if script is None else [str(script)]),
        str(path),
        *statements,
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def test_a_table_is_told_in_full(path: Path) -> None:
    run(
        path,
        "create table team (id integer primary key, name varchar(20) not null unique)",
        """create table member (
             team_id integer not null references team on delete cascade, -- check (nothing)
             number integer default (1 + 1) constraint "po si" check (number > 0 and note <> ')'), note text,
             label text generated always as (note || 'x') stored,
             primary key (team_id, number), check (length(note) < 10))""",
        "create index ix_note on member (note)",
        "create index ix_lower on member (lower(note), number desc) where number > 1",
    )
    with reading(path) as connection:
        member, team = catalog.table_details(connection)
    assert member.columns == (
        Column("team_id", "INTEGER", False),
        Column("number", "INTEGER", True, "1 + 1"),
        Column("note", "TEXT", True),
        Column("label", "TEXT", True),
    )
    assert member.primary_key == ("team_id", "number")
    assert member.foreign_keys == (ForeignKey(None, ("team_id",), None, "team", ("id",), "CASCADE"),)
    assert member.constraints == (
        Constraint("po si", "check", "CHECK (number > 0 and note <> ')')"),
        Constraint(None, "check", "CHECK (length(note) < 10)"),
    )
    lower, note = member.indexes
    assert note == Index("ix_note", ("note",))
    assert lower.columns == ("…", "number")
    assert lower.definition is not None
    assert lower.definition.lower().endswith("(lower(note), number desc) where number > 1")
    assert team.constraints == (Constraint(None, "unique", "UNIQUE (name)", ("name",)),)
    assert team.indexes == (Index("sqlite_autoindex_team_1", ("name",), unique=True),)


def test_one_table_is_the_same_alone_as_among_all(path: Path) -> None:
    run(
        path,
        "create table parent (a integer, b integer, primary key (b, a))",
        "create table child (x integer, y integer, foreign key (y, x) references PARENT)",
    )
    with reading(path) as connection:
        everything = catalog.table_details(connection)
        [child] = catalog.table_details(connection, None, "child")
        assert catalog.table_details(connection, None, "absent") == ()
    assert child in everything
    assert child.foreign_keys[0].columns == ("y", "x")
    assert child.foreign_keys[0].referred_columns == ("b", "a")


def test_names_with_quotes_percent_signs_and_spaces_come_through(path: Path) -> None:
    table, column = "a \"b\" 'c' %s :x ?", "sele ct %(y)s\n"
    quoted = {name: '"' + name.replace('"', '""') + '"' for name in (table, column)}
    run(
        path,
        f"create table {quoted[table]} ({quoted[column]} text)",
        f"insert into {quoted[table]} values (1)",
    )
    with reading(path) as connection:
        [detail] = catalog.table_details(connection, None, table)
    assert (detail.table.name, detail.table.rows) == (table, 1)
    assert detail.columns == (Column(column, "TEXT", True),)


@pytest.mark.slow
def test_rows_are_counted_in_a_small_file_and_estimated_in_a_large_one(path: Path) -> None:
    many = [f"create table t{n} (id integer)" for n in range(600)]  # more than one compound select takes
    run(path, *many, "insert into t599 values (1), (2)")
    with reading(path) as connection:
        counts = {table.name: table.rows for table in catalog.tables(connection)}
    assert (len(counts), counts["t599"], counts["t0"]) == (600, 2, 0)

    run(
        path,
        "create index ix on t599 (id)",
        "analyze",
        "create table big (content blob)",
        "insert into big select zeroblob(1000000) from t599 a, t599 b, t599 c, t599 d, t599 e",
    )
    with reading(path) as connection:
        estimates = {table.name: (table.rows, table.bytes) for table in catalog.tables(connection)}
    assert estimates["t599"] == (2, None)
    assert estimates["big"] == (None, None)


@pytest.mark.slow
def test_a_chain_of_three_thousand_foreign_keys_is_no_recursion(path: Path) -> None:
    chain = (f"create table t{n} (id integer primary key references t{n - 1})" for n in range(1, 3000))
    run(path, "begin", "create table t0 (id integer primary key)", *chain)
    with reading(path) as connection:
        details = catalog.table_details(connection)
    assert len(details) == 3000
    assert sum(len(detail.foreign_keys) for detail in details) == 2999


def test_a_version_table_is_read_or_says_what_is_wrong_with_it(path: Path) -> None:
    with reading(path) as connection:
        assert catalog.version_tables(connection, "alembic_version", None) == ()
    run(
        path,
        "create table alembic_version (version_num varchar(32))",
        "insert into alembic_version values ('b'), ('a')",
        "create table wrong (version text)",
        "create table _alembic_tmp_user (id integer)",
        "create table xalembicytmpzuser (id integer)",
    )
    with reading(path) as connection:
        [version] = catalog.version_tables(connection, "alembic_version", None)
        assert (version.rows, version.effective, version.problem) == (("a", "b"), True, None)
        wrong, other = catalog.version_tables(connection, "wrong", None)
        assert (other.name, other.rows, other.effective) == ("alembic_version", ("a", "b"), False)
        assert wrong.rows is None
        assert wrong.problem == "The table wrong has no column version_num, so it is not a version table of Alembic's."
        assert catalog.leftovers(connection) == (Leftover("leftover-table", None, "_alembic_tmp_user", "user"),)
        assert SQLite().not_owned(connection) == ()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_process_that_holds_the_write_lock_is_named(path: Path, tmp_path: Path, mode: str) -> None:
    run(path, f"pragma journal_mode = {mode}", "create table t (id integer)")
    script = tmp_path / "mage_server.py"
    script.write_text(OTHER_PROCESS)
    statements = ("begin immediate", "insert into t values (1)")
    with other_process(path, *statements, script=script) as pid, reading(path) as connection:
        [session] = sessions(connection)
        assert (session.pid, session.application, session.state) == (pid, "mage_server.py", "writing")
        assert session.user
        files = {lock.relation for lock in session.holds if lock.mode == "WRITE"}
        assert files == {"mage-ai.db-shm" if mode == "wal" else "mage-ai.db"}
    with reading(path) as connection:
        assert sessions(connection) == ()


def test_a_process_that_reads_is_told_from_one_that_writes(path: Path) -> None:
    run(path, "create table t (id integer)", "insert into t values (1)")
    with other_process(path, "begin", "select * from t") as pid, reading(path) as connection:
        [session] = sessions(connection)
    assert session.pid == pid
    assert session.state == "reading"
    assert session.holds == (HeldLock("mage-ai.db", "READ"),)
    assert session.application is not None
    assert session.application.startswith("python")


def test_a_process_that_only_has_a_wal_database_open_is_neither(path: Path) -> None:
    run(path, "pragma journal_mode = wal", "create table t (id integer)", "insert into t values (1)")
    with other_process(path, "select * from t") as pid, reading(path) as connection:
        states = [(session.pid, session.state) for session in sessions(connection)]
    assert states == [(pid, "open")]


def test_looking_at_the_locks_drops_none_of_our_own(path: Path) -> None:
    run(path, "create table t (id integer)")
    with closing(sqlite3.connect(path, isolation_level=None)) as ours, reading(path) as connection:
        ours.execute("begin immediate")
        assert sessions(connection) == ()
        with other_process(path):
            assert _is_locked(path)


def test_a_database_in_memory_has_no_sessions(tmp_path: Path) -> None:
    with reading(tmp_path / "absent.db") as connection:
        assert sessions(connection) == ()
        assert catalog.table_details(connection) == ()


def _is_locked(path: Path) -> bool:
    """Return whether another process finds the write lock taken."""
    attempt = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('begin immediate')"
    done = subprocess.run([sys.executable, "-c", attempt, str(path)], capture_output=True, text=True, check=False)
    return "database is locked" in done.stderr


def test_ctrl_c_is_heard_while_rows_are_counted(path: Path) -> None:
    run(path, "create view endless as with recursive n (i) as (select 1 union all select i + 1 from n) select i from n")
    interrupting = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    began = time.monotonic()
    with reading(path) as connection:
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            counts.count(connection, Table("main", "endless", None, None), (Wanted(),), 60_000)
    assert time.monotonic() - began < 20
