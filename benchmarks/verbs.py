"""Compare the reading verbs on Mage's chain and PostgreSQL with what operators use today.

Run it with `uv run python -m benchmarks.verbs`, or name the verbs: `… benchmarks.verbs diagnose`. It installs Mage with
all its dependencies into a virtual environment under `.cache` (once, a gigabyte) and starts a PostgreSQL 16. Alembic
runs in Mage's own folder and environment. Each pair of commands runs in alternation, each command as a new process.
The scripts are recorded in a run that does not count, as on every later start of the program.

| verb | compared with | database |
| --- | --- | --- |
| diagnose | alembic current | at the head |
| history | python -c "import sqlalchemy", the library alone | none |
| plan migrate | alembic upgrade --sql | two revisions behind |
| evidence | alembic check, which finds differences | at the head |
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.pairs import Pairs, in_alternation, own_environment, seconds
from tests.support.environments import site_packages
from tests.support.mage import mage_directory, migrate_with_alembic
from tests.support.mage_environment import mage_environment
from tests.support.postgres import PostgresServer

BEHIND = "42a14d6143f1"  # two revisions before the head
DIFFERENCES = 255  # the exit status of `alembic check` that finds some


@dataclass(frozen=True)
class Case:
    """A verb of ours and the command that it is compared with."""

    ours: list[str]
    called: str  # what `theirs` is called in the result
    theirs: list[str]
    revision: str  # of the database
    target: float  # the largest ratio
    accepted: tuple[int, ...] = (0,)  # the exit statuses of `theirs`


def main(names: list[str]) -> int:
    """Measure and print. The exit status is 1 if a target is missed."""
    home = mage_environment()
    package = site_packages(home) / "mage_ai"
    alembic = [str(home / "bin" / "python"), "-m", "alembic", "-c", "alembic.ini"]
    cases = {
        "diagnose": Case(["diagnose"], "alembic current", [*alembic, "current"], "head", 0.17),
        "history": Case(["history"], "import sqlalchemy", [sys.executable, "-c", "import sqlalchemy"], "head", 1.2),
        "plan migrate": Case(
            ["plan", "migrate"], "alembic upgrade --sql", [*alembic, "upgrade", f"{BEHIND}:head", "--sql"], BEHIND, 0.4
        ),
        "evidence": Case(["evidence"], "alembic check", [*alembic, "check"], "head", 0.25, (DIFFERENCES,)),
    }
    met = True
    with PostgresServer(16) as server:
        for name, case in cases.items():
            if names and name not in names:
                continue
            url = server.create_database()
            migrate_with_alembic(url, mage_directory(), case.revision)
            pairs = _measured(case, package, url.replace("postgresql://", "postgresql+psycopg2://"))
            met = met and pairs.ratio <= case.target
            print(
                f"{name:<12} {pairs.ours_ms:6.0f} ms    {case.called:<21} {pairs.theirs_ms:6.0f} ms    "
                f"ratio {pairs.ratio:5.2f}    target: at most {case.target}",
                flush=True,
            )
    return 0 if met else 1


def _measured(case: Case, package: Path, url: str) -> Pairs:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "alembic.ini").write_text(_configuration(package, url))
        environment = own_environment(MAGE_DATABASE_CONNECTION_URL=url, HOME=folder, XDG_CACHE_HOME=f"{folder}/cache")
        ours = [sys.executable, "-m", "magetui", "--mage-path", str(package), *case.ours]
        return in_alternation(
            partial(seconds, ours, environment, folder),
            partial(seconds, case.theirs, environment, folder, case.accepted),
        )


def _configuration(package: Path, url: str) -> str:
    """Return Mage's alembic.ini, which names a relative SQLite file, for the server."""
    database = package / "orchestration" / "db"
    text = (database / "alembic.ini").read_text()
    text = text.replace("script_location = migrations", f"script_location = {database / 'migrations'}")
    return text.replace("sqlite:///mage-ai.db", url.replace("%", "%%"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
