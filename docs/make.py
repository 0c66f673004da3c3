"""Writes the output of real commands into the documents: a real PostgreSQL server, Mage's real chain, real sessions.

    uv run python -m docs.make

In `docs/verbs.md` and `README.md` a comment `<!-- example NAME -->` stands before each example. The script runs the
commands of that name in a practice incident, and replaces the fenced block after the comment.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.mage import mage_directory, migrate_with_alembic
from tests.support.postgres import PASSWORD, PostgresServer, installation
from tests.support.waiting import eventually

HERE = Path(__file__).resolve().parent
DOCUMENTS = (HERE / "verbs.md", HERE.parent / "README.md")
EXAMPLE = re.compile(r"<!-- example (\w+) -->\n(?:\n?```\n.*?```\n)?", re.DOTALL)
BEHIND, HEAD = "42a14d6143f1", "39d36f1dab73"
ROWS = """
insert into "user" (username, email) select 'user' || n, 'user' || n || '@example.org' from generate_series(1, 1204) n;
insert into role (name) select 'role ' || n from generate_series(1, 6) n;
analyze;
"""


class Incident:
    """A database of Mage's on a server of its own, and the commands that are typed in it."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server = server
        server.create_database("mage")
        self.folder = folder
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MAGE", "DB_", "XDG_"))},
            "HOME": str(folder),
            "MAGE_DATABASE_CONNECTION_URL": server.url("mage"),
            "PATH": f"{installation(18) / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def type(self, line: str, most: int = 60) -> str:
        """Type a command line, and return it with the first lines of what it prints."""
        words = line.replace("magetui", f"{sys.executable} -m magetui", 1).split()
        words += ["--mage-path", str(mage_directory())]
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**self.environment, "PYTHONPATH": str(HERE.parent)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        lines = done.stdout.rstrip().splitlines()
        cut = [*lines[:most], "…"] if len(lines) > most else lines
        return "\n".join([f"$ {line}", *map(self.neutral, cut)])

    def neutral(self, line: str) -> str:
        """Replace what belongs to this machine alone: the server's address, the operator, paths."""
        line = line.replace(f"127.0.0.1:{self.server.port}", "db1:5432").replace("  127.0.0.1  ", "  10.0.3.7  ")
        line = line.replace("127.0.0.1", "db1")
        line = line.replace(f" port={self.server.port}", "").replace(PASSWORD, "***")
        for packages in (mage_directory(), mage_directory().resolve()):
            line = line.replace(str(packages), "/srv/mage/lib/python3.11/site-packages")
        line = line.replace(str(self.folder), "/srv/mage")
        return line.replace(f"{getpass.getuser()}@{socket.gethostname()}", "mage@app1")

    @contextmanager
    def session(self, application: str, *statements: str) -> Iterator[None]:
        """Keep a session open with a transaction in it."""
        connection = self.server.connect("mage", application_name=application)
        try:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            yield
        finally:
            connection.close()


def examples(incident: Incident) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each example, in the order of one night's work."""
    url = incident.server.url("mage")
    migrate_with_alembic(url, mage_directory(), BEHIND)
    incident.server.execute("mage", ROWS)
    with incident.session("mage-server", "select * from role"):
        yield "diagnose", incident.type("magetui diagnose")
    incident.server.execute("mage", "create table generic_job (id integer)")
    yield "preflight", incident.type("magetui preflight")
    incident.server.execute("mage", "drop table generic_job")
    yield "migrate", incident.type("magetui migrate --yes")
    yield "plan", incident.type("magetui plan rollback --revision 117f8c3b9c42", 14)
    with incident.session("mage-server", "select * from generic_job"):
        yield "rollback", incident.type("magetui rollback --revision -1 --yes --lock-timeout-seconds 3")
        yield "locks", _while_somebody_waits(incident)
    yield "report", incident.type("magetui runs 2 --report")
    yield "backup", incident.type("magetui backup")
    incident.server.execute("mage", "delete from alembic_version")
    yield "evidence", incident.type("magetui evidence", 14)
    incident.server.execute("mage", "insert into alembic_version values ('256d6a12a927')")
    yield "stamp", incident.type(f"magetui stamp {HEAD} --replace-unknown-revision 256d6a12a927 --yes")
    yield "runs", incident.type("magetui runs")
    incident.server.execute("mage", "drop index ix_user_email; alter table backfill alter name set not null")
    yield "verify", incident.type("magetui verify --yes")
    schema = (incident.type("magetui schema role"), incident.type("magetui history", 3))
    yield "schema", "\n\n".join(schema)
    incident.server.drop_database("mage")
    incident.server.create_database("mage")
    migrate_with_alembic(url, mage_directory(), "117f8c3b9c42")
    broken = "alter table permission add column user_id integer, add column entity_name varchar(255)"
    incident.server.execute("mage", broken)
    yield "finish", incident.type("magetui plan finish")


def _while_somebody_waits(incident: Incident) -> str:
    """List the sessions while an ALTER TABLE waits for the session that reads the table."""
    waiting = threading.Thread(target=_alter, args=(incident,))
    waiting.start()
    waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    eventually(lambda: incident.server.execute("mage", waits) == [(1,)], 20)
    shown = incident.type("magetui locks")
    incident.server.execute(
        "mage", "select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'deploy'"
    )
    waiting.join()
    return shown


def _alter(incident: Incident) -> None:
    from psycopg2.errors import QueryCanceled

    try:
        with incident.session("deploy", "alter table generic_job add x int"):
            pass
    except QueryCanceled:
        return


def main() -> None:
    with PostgresServer(18) as server, tempfile.TemporaryDirectory() as folder:
        made = dict(examples(Incident(server, Path(folder))))
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(EXAMPLE.sub(lambda match: block(match[1], made), text), encoding="utf-8")


def block(name: str, made: dict[str, str]) -> str:
    return f"<!-- example {name} -->\n\n```\n{made[name]}\n```\n"


if __name__ == "__main__":
    main()
