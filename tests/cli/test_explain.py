"""`kubectl logs POD | magetui explain`: the log is explained, compared with the database, and not stored."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.explain.logs import LOGS
from tests.support.alembic_project import Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import Database

pytestmark = pytest.mark.slow

LOG = """\
INFO  [alembic.runtime.migration] Will assume transactional DDL.
INFO  [alembic.runtime.migration] Running upgrade rev1 -> rev2, Unique
sqlalchemy.exc.IntegrityError: (psycopg2.errors.UniqueViolation) could not create unique index "ux"
[SQL: CREATE UNIQUE INDEX ux ON t1 (name)]
[parameters: {'password': 'hunter2secret'}]
"""


def test_a_log_is_explained_and_compared_with_the_database(
    magetui: Magetui, tmp_path: Path, database: Database, state_dir: Path
) -> None:
    unique = Revision("rev2", "rev1", "Unique", 'op.create_index("ux", "t1", ["name"], unique=True)')
    project = make_project(tmp_path / "project", (table(1), unique), database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    database.rows("INSERT INTO t1 (id, name) VALUES (1, 'same'), (2, 'same')")
    file = tmp_path / "pod.log"
    file.write_text(LOG)
    said = " ".join(magetui("--config", project.ini, "explain", file).stdout.split())
    assert "The upgrade to rev2 failed: could not create unique index" in said
    assert "in: CREATE UNIQUE INDEX ux ON t1 (name)" in said
    assert "rev2 is pending, and would fail again: t1 (name) has 1 value more than once." in said
    database.rows("DELETE FROM t1 WHERE id = 2")
    again = magetui("--config", project.ini, "explain", file, "--json").json
    assert again["live"][-1] == "rev2 is pending, and by now nothing stops it."
    assert (again["trouble"], again["revision"], again["times"]) == ("duplicates", "rev2", 1)
    assert "hunter2secret" not in said
    stored = [path.read_text(errors="replace") for path in state_dir.rglob("*") if path.is_file()]
    assert not any("hunter2secret" in text or "could not create unique index" in text for text in stored)


def test_without_a_database_and_through_a_pipe_the_log_is_still_explained(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "magetui", "explain"]
    text = LOGS["kubectl with pods"].text + "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")
    done = subprocess.run(
        command, input=text.encode("latin-1", "replace"), capture_output=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done
    assert b"The upgrade to b002 failed:" in done.stdout
    assert b"This was not compared with a database." in done.stderr


def test_a_log_without_an_error_and_a_file_that_is_missing(magetui: Magetui, tmp_path: Path) -> None:
    (tmp_path / "quiet.log").write_text("server started\n")
    quiet = magetui("explain", tmp_path / "quiet.log")
    assert quiet.status == 1
    assert "magetui knows no error in this log" in quiet.stdout
    missing = magetui("explain", tmp_path / "absent.log")
    assert missing.status == 2
    assert "cannot be read" in missing.stderr
