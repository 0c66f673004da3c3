"""Migrate public chains with Alembic to their head and to five places before it, and diagnose each database.

    uv run python -m tests.public_chains [--folder FOLDER] [--verbs] [distribution …]

Each application is installed into an environment of its own in the folder, `.cache/public-chains` if none is given. A
row is printed for each chain and database, and each finding that accuses, on standard error. With `--verbs`, each chain
is migrated, rolled back and verified by magetui instead, and the times are printed (`verbs`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from magetui.engine.evidence.evidence import record_chain
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.public_chains.chains import CHAINS, OWN_ENVIRONMENTS, Dialect, OwnEnvironment, PublicChain
from tests.public_chains.verbs import HEADER, VERBS, Place, Timed, timed
from tests.support.healthy import look
from tests.support.postgres import PostgresServer

FOLDER = Path(__file__).resolve().parents[2] / ".cache" / "public-chains"
PYTHON = "3.11"
PARTS = 6  # the places are the ends of the sixths of the chain
SECONDS = 600
ENV = """\
{imports}
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata={metadata}, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISIONS = """
import json, sys
from alembic.config import Config
from alembic.script import ScriptDirectory
script = ScriptDirectory.from_config(Config(sys.argv[1]))
print("\\n" + json.dumps([revision.revision for revision in script.walk_revisions()][::-1]))
"""
FILES = """
import importlib.metadata, sys
print(*[file.locate() for file in importlib.metadata.files(sys.argv[1])], sep="\\n")
"""
CREATED = """
import sys
import sqlalchemy
{models}
made.create_all(sqlalchemy.create_engine(sys.argv[1]))
"""


class Failed(Exception):  # noqa: N818
    """A command of the application failed: the chain does not run on this database, or not without its application."""


@dataclass
class Tried:
    """What was seen of one chain on one database."""

    revisions: int = 0
    places: list[str] = field(default_factory=list)
    accusing: list[str] = field(default_factory=list)
    right: int = 0
    stopped: str = ""

    def row(self, chain: PublicChain, dialect: Dialect) -> str:
        found = f"{len(self.accusing)}" if self.accusing else "none"
        cells = [
            chain.distribution,
            self.revisions,
            dialect,
            len(self.places),
            found,
            f"{self.right} of {len(self.places)}",
        ]
        return "| " + " | ".join(map(str, [*cells, self.stopped])) + " |"


@dataclass
class Application:
    """An installed application, with a copy of its configuration for each database."""

    chain: PublicChain
    server: PostgresServer
    folder: Path

    def timed(self, dialect: Dialect) -> Timed:
        def place() -> Place:
            url = self.database(dialect)
            scratch = self.server.create_database() if dialect == "postgresql" else None
            return Place(self.python, self.configure(dialect, url), scratch=scratch)

        return timed(place)

    @property
    def python(self) -> Path:
        return self.folder / "env" / "bin" / "python"

    def install(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.python.exists():
            _run("uv", "venv", "-q", "--python", PYTHON, str(self.folder / "env"))
        needed = ("alembic", "psycopg2-binary", self.chain.distribution, *self.chain.requires)
        _run("uv", "pip", "install", "-q", "--python", str(self.python), *needed)

    def configure(self, dialect: Dialect, url: str) -> Path:
        """Write an env.py that needs no application, and return the alembic.ini."""
        folders = sorted({str(path.parent) for path in self._scripts(dialect)})
        migrations = self.folder / dialect
        migrations.mkdir(exist_ok=True)
        (migrations / "env.py").write_text(ENV.format(imports=self.chain.imports, metadata=self.chain.metadata))
        ini = self.folder / f"{dialect}.ini"
        ini.write_text(
            f"[alembic]\nscript_location = {migrations}\nversion_locations = {' '.join(folders)}\n"
            f"sqlalchemy.url = {url.replace('%', '%%')}\n"
        )
        return ini

    def _scripts(self, dialect: Dialect) -> list[Path]:
        """Return the scripts of the distribution itself: what it needs may have chains, too."""
        wanted = (self.chain.folder or {}).get(dialect, "versions")
        files = map(Path, _run(str(self.python), "-c", FILES, self.chain.distribution).splitlines())
        return [path for path in files if f"/{wanted}/" in str(path) and path.suffix == ".py" and _is_revision(path)]

    def database(self, dialect: Dialect) -> str:
        if dialect == "sqlite":
            file = self.folder / "data.db"
            file.unlink(missing_ok=True)
            return f"sqlite:///{file}"
        # SQLAlchemy 2.1 takes another driver for a URL that names none.
        return self.server.create_database().replace("postgresql://", "postgresql+psycopg2://")

    def try_on(self, dialect: Dialect) -> Iterator[Tried]:
        """Yield what was seen after upgrades, and what was seen of tables that the models made."""
        tried = Tried()
        url = self.database(dialect)
        ini = self.configure(dialect, url)
        try:
            ids = json.loads(_run(str(self.python), "-c", REVISIONS, str(ini)).splitlines()[-1])
            tried.revisions = len(ids)
            for place in (*dict.fromkeys(ids[len(ids) * part // PARTS] for part in range(1, PARTS)), "heads"):
                _run(str(self.python), "-m", "alembic", "-c", str(ini), "upgrade", place)
                self._look(tried, place, ini, url)
        except Failed as failed:
            tried.stopped = f"after {len(tried.places)} places: {failed}"
        yield tried
        if self.chain.models and tried.revisions:
            yield self._try_models(dialect, tried.revisions)

    def _try_models(self, dialect: Dialect, revisions: int) -> Tried:
        tried = Tried(revisions)
        url = self.database(dialect)
        ini = self.configure(dialect, url)
        try:
            _run(str(self.python), "-c", CREATED.format(models=self.chain.models), url)
            _run(str(self.python), "-m", "alembic", "-c", str(ini), "stamp", "heads")
            self._look(tried, "create_all", ini, url)
            tried.stopped = "made by create_all"
        except Failed as failed:
            tried.stopped = f"create_all: {failed}"
        return tried

    def _look(self, tried: Tried, place: str, ini: Path, url: str) -> None:
        workspace = Workspace(Selection(url=url, config=str(ini), python=str(self.python)))
        evidence, accusing, current = look(workspace, record_chain(workspace))
        tried.places.append(place)
        tried.accusing += [f"{place}: {finding.code}: {finding.message}" for finding in accusing]
        tried.right += not evidence.contradicts(current)


def _is_revision(path: Path) -> bool:
    return any(line.startswith("down_revision") for line in path.read_text(errors="replace").splitlines()[:80])


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"no end after {SECONDS} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "sqlalche.me" not in line]
        raise Failed(next((line for line in reversed(lines) if "Error" in line), "")[:100] or "it failed")
    return done.stdout


def _timed_own(chain: OwnEnvironment, server: PostgresServer, folder: Path) -> Timed:
    """Return the times of an application with its own env.py."""
    application = Application(PublicChain(chain.distribution, chain.requires), server, folder)
    application.install()
    site = next((folder / "env").glob("lib/python*/site-packages"))

    def place() -> Place:
        def filled(text: str) -> str:
            return text.replace("{site}", str(site)).replace("{home}", str(folder)).replace("{url}", url)

        url = application.database("postgresql")
        for name, text in chain.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(filled(text))
        variables = {name: filled(text) for name, text in chain.variables.items()}
        return Place(application.python, Path(filled(chain.ini)), variables, server.create_database())

    return timed(place)


def _time_verbs(wanted: Sequence[str], folder: Path) -> None:
    """Print the table of the verbs, and on standard error the reason for each verb that was not done."""

    def row(found: Timed, name: str, dialect: str) -> None:
        print(found.row(name, dialect), flush=True)
        for verb, reason in found.reasons.items():
            print(f"{name} {dialect} {verb}: {reason}", file=sys.stderr, flush=True)

    columns = (*HEADER, *(f"`{verb}`" for verb in VERBS))
    print("| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns), sep="\n")
    dialects: tuple[Dialect, ...] = ("postgresql", "sqlite")
    with PostgresServer(18) as server:
        for own in OWN_ENVIRONMENTS:
            if own.distribution in wanted or not wanted:
                row(_timed_own(own, server, folder / own.distribution), own.distribution, "postgresql")
        for chain in CHAINS:
            application = Application(chain, server, folder / chain.distribution)
            with suppress(Failed):
                if chain.distribution in wanted or not wanted:
                    application.install()
                    for dialect in dialects:
                        row(application.timed(dialect), chain.distribution, dialect)


def main(arguments: Sequence[str]) -> int:
    parser = ArgumentParser(prog="tests.public_chains")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("distributions", nargs="*")
    parser.add_argument("--verbs", action="store_true")
    chosen = parser.parse_args(arguments)
    wanted: list[str] = chosen.distributions
    if chosen.verbs:
        _time_verbs(wanted, chosen.folder.absolute())
        return 0
    accused = False
    print("| chain | revisions | database | places | findings that accuse | right revision | note |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with PostgresServer(18) as server:
        for chain in CHAINS:
            if wanted and chain.distribution not in wanted:
                continue
            application = Application(chain, server, chosen.folder.absolute() / chain.distribution)
            try:
                application.install()
            except Failed as failed:
                print(f"| {chain.distribution} | | | | | | not installed: {failed} |", flush=True)
                continue
            dialects: tuple[Dialect, ...] = ("postgresql", "sqlite")
            for dialect in dialects:
                for tried in application.try_on(dialect):
                    print(tried.row(chain, dialect), flush=True)
                    print(*tried.accusing, sep="\n", end="\n" * bool(tried.accusing), file=sys.stderr, flush=True)
                    accused = accused or bool(tried.accusing)
    return int(accused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
