"""Projects that `alembic init` makes from each of Alembic's templates, with a small chain."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.alembic_project import AlembicProject, Revision, linear

PLACEHOLDERS = ("driver://user:pass@localhost/dbname2", "driver://user:pass@localhost/dbname")
MULTIDB_DIRECTIONS = """

def upgrade(engine_name):
    globals()["upgrade_" + engine_name]()


def downgrade(engine_name):
    globals()["downgrade_" + engine_name]()
"""


def make_from_template(
    directory: Path, template: str, *urls: str, revisions: Sequence[Revision] | None = None
) -> AlembicProject:
    """Run `alembic init -t template`, write the URLs into alembic.ini (two for multidb), and add rev1 to rev3."""
    directory.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "init", "-t", template, "migrations"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    ini = directory / "alembic.ini"
    text = ini.read_text()
    for placeholder, url in zip(PLACEHOLDERS, reversed((*urls, *urls) if len(urls) == 1 else urls), strict=True):
        text = text.replace(placeholder, url.replace("%", "%%"))
    assert "driver://" not in text, text
    ini.write_text(text)
    project = AlembicProject(directory, ini, directory / "migrations" / "versions")
    for revision in linear(3) if revisions is None else revisions:
        path = project.add(revision)
        if template == "multidb":
            path.write_text(_for_each_engine(path.read_text()))
    return project


def _for_each_engine(script: str) -> str:
    """Return the script with its functions for engine1, and with other functions for engine2."""
    script = script.replace("def upgrade():", "def upgrade_engine1():").replace(
        "def downgrade():", "def downgrade_engine1():"
    )
    other = '\n\ndef upgrade_engine2():\n    op.execute("create table of_engine2 (id int)")\n'
    return script + other + "\n\ndef downgrade_engine2():\n    pass\n" + MULTIDB_DIRECTIONS
