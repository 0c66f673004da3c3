"""A second real chain, mlflow's: its scripts import their application, and many look at the database before they act.

`mlflow-skinny` has the same scripts as `mlflow` and needs a tenth of what that needs; what it needs is installed with
it into the checkout's `.cache`, since it cannot be imported otherwise. Its modules stay out of the tests' process: run
as a program, this module walks the database of the URL on the first line of its standard input to each revision that
a line names, with nothing but Alembic, and answers each.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from sqlalchemy import Connection

from tests.steps import walking
from tests.wheels import CHECKOUT, installed, scripts_in

VERSION = "3.17.2"
COUNT = 67
SCRIPTS = Path("mlflow", "store", "db_migrations")
LEAVE_SECONDS = 30


def mlflow_directory() -> Path:
    """The directory that contains `mlflow` and what it needs; installs it if it is not there yet."""
    python = "py{}{}".format(*sys.version_info)  # some of it is compiled
    directory = installed("mlflow-skinny", VERSION, f"mlflow/{VERSION}-{python}")
    scripts_in(directory, SCRIPTS, COUNT)
    return directory


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
        [sys.executable, "-W", "ignore", "-m", "tests.mlflow", str(directory)],
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
