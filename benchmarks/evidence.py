"""Compare `evidence` for a chain of 5,000 revisions on 500 tables with `alembic history` of the same chain.

Run it with `uv run python -m benchmarks.evidence`. One revision creates each table, and nine others add columns and
indexes. The SQLite database is at nine tenths of the chain. The scripts are recorded in a run that does not count, as
on every later start of the program. The measured run reads the recordings and the schema, compares the schema with
every revision, and names the matching revision. `alembic history` imports the scripts and prints a line for each: that
is the cost of reading the chain. Both are new processes with warm bytecode. The result is the median of alternated
pairs. Target: at most 2.5 times the time of `alembic history`.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.pairs import in_alternation, own_environment, seconds
from tests.support.alembic_project import Revision, make_project

REVISIONS = 5_000
TABLES = 500
APPLIED = REVISIONS * 9 // 10
TARGET = 2.5


def main() -> int:
    """Measure and print. The exit status is 1 if the target is missed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.db")
        project = make_project(Path(folder, "project"), [revision for revision, _ in _chain()], f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection:
            for _, statement in list(_chain())[:APPLIED]:
                connection.execute(statement)
            connection.commit()
        environment = own_environment(HOME=folder, XDG_CACHE_HOME=str(Path(folder, "cache")))
        ours = [sys.executable, "-m", "magetui", "evidence", "--config", str(project.ini)]
        theirs = [sys.executable, "-m", "alembic", "-c", str(project.ini), "history"]
        pairs = in_alternation(
            partial(seconds, ours, environment, folder), partial(seconds, theirs, environment, folder)
        )
    print(f"magetui evidence   {pairs.ours_ms:6.0f} ms")
    print(f"alembic history    {pairs.theirs_ms:6.0f} ms")
    print(f"ratio, by pairs    {pairs.ratio:6.2f}    target: at most {TARGET}")
    return 0 if pairs.ratio <= TARGET else 1


def _chain() -> Iterator[tuple[Revision, str]]:
    """Yield each revision with its equivalent SQL statement."""
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


if __name__ == "__main__":
    sys.exit(main())
