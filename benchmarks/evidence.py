"""Evidence for a chain of 5,000 revisions on 500 tables against `alembic history` of the same chain.

Run it with `uv run python -m benchmarks.evidence`. Each table is made by one revision and then given columns and
indexes by nine others; the SQLite database is where the chain is after nine tenths of it. The scripts have been asked
what they do once before, as on any later look: kept recordings are read, the schema is read and weighed against every
revision, and the one that it fits is named. Both are whole processes with warm bytecode, the median of alternated
pairs. `alembic history` is what reading the chain alone takes: it imports the scripts and prints a line for each.
Target: at most 2.5 times that.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.support.alembic_project import Revision, make_project

REVISIONS = 5_000
TABLES = 500
APPLIED = REVISIONS * 9 // 10
PAIRS = 7
TARGET = 2.5


def main() -> int:
    """Measure and print; the exit status is 1 where the target is missed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.db")
        project = make_project(Path(folder, "project"), [revision for revision, _ in _chain()], f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection:
            for _, statement in list(_chain())[:APPLIED]:
                connection.execute(statement)
            connection.commit()
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "HOME": folder,
            "XDG_CACHE_HOME": str(Path(folder, "cache")),
        }
        ours = [sys.executable, "-m", "magetui", "evidence", "--config", str(project.ini)]
        theirs = [sys.executable, "-m", "alembic", "-c", str(project.ini), "history"]
        for command in (ours, theirs):  # bytecode, recordings and file caches
            _seconds(command, environment, folder)
        pairs = [(_seconds(ours, environment, folder), _seconds(theirs, environment, folder)) for _ in range(PAIRS)]
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"magetui evidence   {statistics.median(a for a, _ in pairs) * 1000:6.0f} ms")
    print(f"alembic history    {statistics.median(b for _, b in pairs) * 1000:6.0f} ms")
    print(f"ratio, by pairs    {ratio:6.2f}    target: at most {TARGET}")
    return 0 if ratio <= TARGET else 1


def _chain() -> Iterator[tuple[Revision, str]]:
    """Each revision with the statement that it amounts to."""
    for number in range(REVISIONS):
        name = f"t{number % TABLES}"
        if number < TABLES:
            columns = 'sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50), nullable=False)'
            up, down = f'op.create_table("{name}", {columns})', f'op.drop_table("{name}")'
            sql = f"CREATE TABLE {name} (id INTEGER NOT NULL, name VARCHAR(50) NOT NULL, PRIMARY KEY (id))"
        elif number % 3:
            up = f'op.add_column("{name}", sa.Column("c{number}", sa.Integer))'
            down, sql = f'op.drop_column("{name}", "c{number}")', f"ALTER TABLE {name} ADD COLUMN c{number} INTEGER"
        else:
            up = f'op.create_index("ix{number}", "{name}", ["name"])'
            down, sql = f'op.drop_index("ix{number}", "{name}")', f"CREATE INDEX ix{number} ON {name} (name)"
        below = f"rev{number - 1}" if number else None
        yield Revision(f"rev{number}", below, f"Step {number}", up, down), sql


def _seconds(command: list[str], environment: dict[str, str], folder: str) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True, text=True)
    elapsed = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return elapsed


if __name__ == "__main__":
    sys.exit(main())
