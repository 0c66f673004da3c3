"""A second real chain, mlflow's: its scripts import their application, and many look at the database before they act.

`mlflow-skinny` has the same scripts as `mlflow` and needs a tenth of what that needs; what it needs is installed with
it into the checkout's `.cache`, since it cannot be imported otherwise: in a folder for the paths of other Pythons, and
in an environment with a Python of its own. Its modules stay out of the tests' process: run as a program, this module
walks the database of the URL on the first line of its standard input to each revision that a line names, with nothing
but Alembic, and answers each.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection

from tests.support.environments import environment, site_packages
from tests.support.steps import walking
from tests.support.wheels import CHECKOUT, installed, scripts_in

VERSION = "3.17.2"
COUNT = 67
SCRIPTS = Path("mlflow", "store", "db_migrations")
LEAVE_SECONDS = 30
OPTIONS = ("--only-binary", ":all:", "--exclude-newer", "2026-11-25")
DOES_WHAT_A_LINE_SAYS = """
import sys
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from mlflow.store.tracking.dbmodels.initial_models import Base

for line in sys.stdin:
    what, value = line.split()
    try:
        if what == "tables":
            Base.metadata.create_all(create_engine(value))
        else:
            getattr(command, what)(Config("alembic.ini"), value)
        print("done", flush=True)
    except Exception as error:
        print("failed:", " ".join(str(error).split()), flush=True)
"""
WARMED_BY = "import alembic.command, psycopg2, mlflow.store.db.base_sql_model, mlflow.store.tracking.dbmodels.models"


def mlflow_directory() -> Path:
    """The directory that contains `mlflow` and what it needs; installs it if it is not there yet."""
    python = "py{}{}".format(*sys.version_info)  # some of it is compiled
    directory = installed("mlflow-skinny", VERSION, f"mlflow/{VERSION}-{python}")
    scripts_in(directory, SCRIPTS, COUNT)
    return directory


def mlflow_environment() -> Path:
    """The home of an environment with mlflow and what its `env.py` and scripts need; makes it if it is not there."""
    packages = (f"mlflow-skinny=={VERSION}", "alembic", "sqlalchemy", "psycopg2-binary")
    python = "py{}{}".format(*sys.version_info)
    home = environment(f"mlflow/environment-{VERSION}-{python}", packages, *OPTIONS, warmed_by=WARMED_BY)
    scripts_in(site_packages(home), SCRIPTS, COUNT)
    return home


@contextmanager
def asking(home: Path, folder: Path) -> Iterator[Callable[..., str]]:
    """A function that has the environment's own Python, in `folder`, do what a line says, and returns how that ended.

    `tables URL` makes what mlflow makes of a new database; `upgrade R` and `downgrade R` are Alembic's commands, with
    the folder's alembic.ini.
    """
    with subprocess.Popen(
        [str(home / "bin" / "python"), "-W", "ignore", "-c", DOES_WHAT_A_LINE_SAYS],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        requests, answers = child.stdin, child.stdout

        def ask(*words: str) -> str:
            requests.write(" ".join(words) + "\n")
            requests.flush()
            return answers.readline()

        yield ask


def write_configuration(folder: Path, directory: Path, url: str, *, importable: bool) -> Path:
    """An `alembic.ini` for mlflow's scripts in a new folder, with or without mlflow where they look for it."""
    folder.mkdir()
    lines = ["[alembic]", f"script_location = {directory / SCRIPTS}", f"sqlalchemy.url = {url}"]
    lines += [f"prepend_sys_path = {directory}"] if importable else []
    path = folder / "alembic.ini"
    path.write_text("\n".join([*lines, ""]).replace("%", "%%"), encoding="utf-8")
    return path


@contextmanager
def stepping(url: str, directory: Path) -> Iterator[Callable[[str], None]]:
    """A function that upgrades the database to a revision, in a process that has mlflow."""
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.support.mlflow", str(directory)],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    requests, answers = child.stdin, child.stdout

    def step(revision: str) -> None:
        requests.write(f"{revision}\n")
        requests.flush()
        answer = answers.readline()
        assert answer == f"{revision}\n", f"Alembic alone could not migrate to {revision}: {answer}"

    try:
        requests.write(f"{url}\n")
        yield step
    finally:
        child.communicate(timeout=LEAVE_SECONDS)


def _walk(directory: Path) -> None:
    sys.path.append(str(directory))
    answers, sys.stdout = sys.stdout, sys.stderr  # the scripts may print
    with walking(sys.stdin.readline().strip(), directory / SCRIPTS) as steps:
        _make_first_tables(steps.connection)
        for line in sys.stdin:
            steps.upgrade(line.strip())
            answers.write(line)
            answers.flush()


def _make_first_tables(connection: Connection) -> None:
    """What mlflow makes of a new database before its first revision: the schema that it had before it had revisions."""
    import_module("mlflow.store.tracking.dbmodels.initial_models").Base.metadata.create_all(connection)
    connection.commit()


if __name__ == "__main__":
    _walk(Path(sys.argv[1]))
