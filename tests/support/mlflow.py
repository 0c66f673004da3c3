"""mlflow's chain, a second real chain: its scripts import mlflow, and many query the database before they act.

`mlflow-skinny` has the same scripts as `mlflow` and a tenth of its dependencies. It is installed with these
dependencies into the checkout's `.cache`, because it cannot be imported without them: in a folder for the path of
another Python, and in an environment with its own Python. The tests' process never imports mlflow. Run as a program,
this module reads a URL from the first line of standard input. For each further line it upgrades the database to the
named revision with Alembic alone, and answers with the line.
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
RUNS_COMMANDS = """
import sys
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from mlflow.store.tracking.dbmodels.initial_models import Base

for line in sys.stdin:
    name, value = line.split()
    try:
        if name == "tables":
            Base.metadata.create_all(create_engine(value))
        else:
            getattr(command, name)(Config("alembic.ini"), value)
        print("done", flush=True)
    except Exception as error:
        print("failed:", " ".join(str(error).split()), flush=True)
"""
WARMED_BY = "import alembic.command, psycopg2, mlflow.store.db.base_sql_model, mlflow.store.tracking.dbmodels.models"


def mlflow_directory() -> Path:
    """Return the directory that contains `mlflow` and its dependencies. Installs them if they are missing."""
    python = "py{}{}".format(*sys.version_info)  # some dependencies are compiled
    directory = installed("mlflow-skinny", VERSION, f"mlflow/{VERSION}-{python}")
    scripts_in(directory, SCRIPTS, COUNT)
    return directory


def mlflow_environment() -> Path:
    """Return an environment with all that mlflow's `env.py` and scripts need. Makes it if it is missing."""
    packages = (f"mlflow-skinny=={VERSION}", "alembic", "sqlalchemy", "psycopg2-binary")
    python = "py{}{}".format(*sys.version_info)
    home = environment(f"mlflow/environment-{VERSION}-{python}", packages, *OPTIONS, warmed_by=WARMED_BY)
    scripts_in(site_packages(home), SCRIPTS, COUNT)
    return home


@contextmanager
def asking(home: Path, folder: Path) -> Iterator[Callable[..., str]]:
    """Yield a function that runs a command under the environment's own Python in `folder` and returns its result.

    `tables URL` creates the tables that mlflow creates in a new database. `upgrade R` and `downgrade R` are Alembic's
    commands with the folder's alembic.ini.
    """
    with subprocess.Popen(
        [str(home / "bin" / "python"), "-W", "ignore", "-c", RUNS_COMMANDS],
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
    """Write an `alembic.ini` for mlflow's scripts into a new folder. `importable` puts mlflow on their path."""
    folder.mkdir()
    lines = ["[alembic]", f"script_location = {directory / SCRIPTS}", f"sqlalchemy.url = {url}"]
    lines += [f"prepend_sys_path = {directory}"] if importable else []
    path = folder / "alembic.ini"
    path.write_text("\n".join([*lines, ""]).replace("%", "%%"), encoding="utf-8")
    return path


@contextmanager
def stepping(url: str, directory: Path) -> Iterator[Callable[[str], None]]:
    """Yield a function that upgrades the database to a revision, in a process that can import mlflow."""
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
    """Create the tables that mlflow had before its first revision."""
    import_module("mlflow.store.tracking.dbmodels.initial_models").Base.metadata.create_all(connection)
    connection.commit()


if __name__ == "__main__":
    _walk(Path(sys.argv[1]))
