"""The whole way through a secret of AWS: what Mage's own verbs find there, and nothing of it left behind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg2 import sql

from tests.support.alembic_project import Revision, linear, make_project
from tests.support.command import Magetui, Outcome
from tests.support.complaints import nothing_begun
from tests.support.databases import PostgresDatabase
from tests.support.leaks import nowhere
from tests.support.mage import COUNT, HEAD
from tests.support.postgres import HOST, PASSWORD
from tests.support.secret_stores import SECRET_KEY, SESSION_TOKEN, SecretsManager, aws_environment, refusal, serving

pytestmark = pytest.mark.slow

# How a secret is read does not depend on the server's version.

ROTATED = "r0tated@/:%41#2"
SOURCE = "AWS Secrets Manager, AWS_DB_SECRETS_NAME"
CREDENTIALS = (PASSWORD, ROTATED, SECRET_KEY, SESSION_TOKEN)


@dataclass(frozen=True)
class Kept:
    """A database whose role and password are in a secret of its own."""

    store: SecretsManager
    database: PostgresDatabase
    password: str = PASSWORD

    @property
    def role(self) -> str:
        return f"{self.database.name}_role"

    @property
    def environment(self) -> dict[str, str]:
        return self.store.environment(f"prod/{self.database.name}")

    def put(self, password: str) -> None:
        secret = {
            "username": self.role,
            "password": password,
            "engine": "postgres",
            "host": HOST,
            "port": self.database.server.port,
            "dbname": self.database.name,
        }
        self.store.put(f"prod/{self.database.name}", secret)

    def rotate(self, password: str) -> None:
        """As a rotation does: the role's password first, then the secret."""
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(self.role), sql.Literal(password))
        self.database.server.execute("postgres", statement)
        self.put(password)


@pytest.fixture
def kept(pg_database: PostgresDatabase, secrets_manager: SecretsManager) -> Iterator[Kept]:
    """An empty database that belongs to a role of its own."""
    found = Kept(secrets_manager, pg_database)
    server, role = pg_database.server, sql.Identifier(found.role)
    server.execute("postgres", sql.SQL("CREATE ROLE {} LOGIN").format(role))
    owned = sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(pg_database.name), role)
    server.execute("postgres", owned)
    found.rotate(PASSWORD)
    yield found
    server.execute("postgres", sql.SQL("ALTER DATABASE {} OWNER TO mage").format(sql.Identifier(pg_database.name)))
    server.execute(pg_database.name, sql.SQL("REASSIGN OWNED BY {} TO mage").format(role))
    server.execute(pg_database.name, sql.SQL("DROP OWNED BY {}").format(role))
    server.execute("postgres", sql.SQL("DROP ROLE {}").format(role))


def left_behind(*outcomes: Outcome) -> str:
    """Everything that the program said or wrote, in which no credential is."""
    places = (Path(os.environ["HOME"]), Path(os.environ["XDG_CACHE_HOME"]))
    nowhere([*outcomes, *(place for place in places if place.exists())], *CREDENTIALS)
    files = [path.read_text(errors="replace") for place in places for path in place.rglob("*") if path.is_file()]
    return "\n".join([*(outcome.stdout + outcome.stderr for outcome in outcomes), *files])


def test_mages_chain_is_migrated_and_rolled_back_through_a_secret(
    kept: Kept, magetui: Magetui, mage_home: Path
) -> None:
    def ran(*arguments: object) -> Outcome:
        return magetui("--mage-path", mage_home, *arguments, env=kept.environment)

    url = f"postgresql://{kept.role}:***@{HOST}:{kept.database.server.port}/{kept.database.name}"
    first = ran("--json", "diagnose")
    assert first.status == 3, first
    assert first.json["findings"][0]["code"] == "empty-database"
    assert (first.json["target"]["url"], first.json["target"]["source"]) == (url, SOURCE)
    assert (first.json["target"]["user"], len(first.json["pending"])) == (kept.role, COUNT)
    migrated = ran("migrate", "--yes")
    assert migrated.status == 0, migrated
    assert kept.database.rows("SELECT version_num FROM alembic_version") == [(HEAD,)]
    # What the rotation changed is found by the next verb.
    kept.rotate(ROTATED)
    rolled_back = ran("rollback", "--revision", "-1", "--yes")
    assert rolled_back.status == 0, rolled_back
    [(current,)] = kept.database.rows("SELECT version_num FROM alembic_version")
    assert f"Current revision: {current}" in rolled_back.stdout
    runs, report, shown = ran("runs"), ran("runs", "2", "--report"), ran("diagnose")
    assert re.findall("rollback|migrate", runs.stdout) == ["rollback", "migrate"]
    assert (runs.status, report.status, shown.status) == (0, 0, 3)
    assert f"source    {SOURCE}" in shown.stdout
    assert url in left_behind(first, migrated, rolled_back, runs, report, shown)


def test_a_password_that_was_rotated_in_the_database_alone_is_a_wrong_one(
    kept: Kept, magetui: Magetui, mage_home: Path
) -> None:
    kept.rotate(ROTATED)
    kept.put(PASSWORD)
    told = magetui("--mage-path", mage_home, "--json", "diagnose", env=kept.environment)
    finding = told.json["findings"][0]
    assert finding["facts"]["cause"] == "password"
    assert f"(from {SOURCE})" in finding["message"]
    left_behind(told)


def test_a_script_that_tells_all_of_its_environment_is_not_repeated(
    kept: Kept, magetui: Magetui, mage_home: Path, tmp_path: Path
) -> None:
    talkative = Revision(
        id="rev2",
        down="rev1",
        message="Tell it all",
        upgrade="import os\nprint(dict(os.environ))\nraise RuntimeError(os.environ['AWS_SESSION_TOKEN'])",
    )
    project = make_project(tmp_path / "project", (*linear(1), talkative), kept.database.url)
    environment = {**os.environ, **kept.environment}
    for verb in (("migrate", "--yes"), ("plan", "migrate"), ("evidence",)):
        told = magetui("--config", project.ini, *verb, env=environment)
        assert "AWS_DB_SECRETS_NAME" in told.stderr or verb[0] != "migrate", told
        left_behind(told)


@pytest.mark.parametrize("verb", [("diagnose",), ("diagnose", "--json"), ("migrate", "--yes"), ("schema",), ("locks",)])
def test_a_secret_that_is_refused_is_told_and_nothing_is_begun(
    magetui: Magetui, mage_home: Path, verb: tuple[str, ...]
) -> None:
    quoting = f"User: arn:aws:sts::1:assumed-role/app is not authorized, {SESSION_TOKEN} {SECRET_KEY}"
    with serving(refusal("AccessDeniedException", quoting)) as aws:
        told = magetui("--mage-path", mage_home, *verb, env=aws_environment(aws.url))
        assert aws.asked == 1
    assert told.status == (3 if verb[0] == "diagnose" else 1), told
    text = " ".join(left_behind(told).split())
    assert "AWS does not let these credentials read the secret 'prod/mage' (AWS Secrets Manager, eu-west-1)" in text
    assert "arn:aws:sts::1:assumed-role/app" in text
    assert "Traceback" not in text
    if "--json" in verb:
        assert told.json["findings"][0]["facts"]["cause"] == "secret"
    nothing_begun()
