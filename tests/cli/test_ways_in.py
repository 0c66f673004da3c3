"""PostgreSQL as it is reached in earnest: a socket, passwords beside the URL, services, several hosts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.test_bad_connection import closed_port
from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.complaints import output as told
from tests.support.databases import PostgresDatabase
from tests.support.leaks import nowhere
from tests.support.postgres import HOST, PASSWORD, USER
from tests.support.ways import walk

pytestmark = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])

TALKATIVE = Revision(
    id="rev2",
    down="rev1",
    message="Tell it all",
    upgrade=(
        "import os\npassword = op.get_bind().connection.dbapi_connection.info.password\n"
        "print('it is', password, os.environ.get('PGPASSWORD'))\n"
        "op.execute(sa.text('select :p').bindparams(p=password))"
    ),
)


@pytest.fixture
def beside(pg_database: PostgresDatabase, state_dir: Path, source: str) -> tuple[str, Mapping[str, str]]:
    """A URL without a password, and the environment that has it, each way that libpq knows."""
    home, name = state_dir.parents[1], pg_database.name
    plain = f"postgresql://{USER}@{HOST}:{pg_database.server.port}/{name}"
    if source == "PGPASSWORD":
        return plain, {"PGPASSWORD": PASSWORD}
    if source == ".pgpass":
        file = home / source
        file.write_text(f"# of the tests\n{HOST}:*:{name}:{USER}:{PASSWORD.replace(':', chr(92) + ':')}\n")
        file.chmod(0o600)
        return plain, {}
    settings = {"host": HOST, "port": pg_database.server.port, "dbname": name, "user": USER, "password": PASSWORD}
    file = home / ("services" if source == "PGSERVICE" else ".pg_service.conf")
    file.write_text("\n".join(["[prod]", *(f"{key}={value}" for key, value in settings.items()), ""]))
    if source == "PGSERVICE":
        return "postgresql://", {"PGSERVICE": "prod", "PGSERVICEFILE": str(file)}
    return "postgresql:///?service=prod", {}


@pytest.mark.slow
def test_unix_socket(magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase, state_dir: Path) -> None:
    server = pg_database.server
    walk(magetui, ("--config", project.ini), server.socket_url(pg_database.name), pg_database, state_dir)
    shown = magetui("--config", project.ini, "--url", server.socket_url(pg_database.name), "diagnose")
    assert f"server    postgresql {server.major}" in shown.stdout
    assert f" at the socket {server.directory}/.s.PGSQL.{server.port}\n" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize("source", [".pgpass", "PGPASSWORD", "service", "PGSERVICE"])
def test_password_beside_the_url_serves_all_of_a_run_and_a_backup_and_is_not_repeated(
    magetui: Magetui,
    pg_database: PostgresDatabase,
    beside: tuple[str, Mapping[str, str]],
    state_dir: Path,
    tmp_path: Path,
) -> None:
    url, environment = beside
    project = make_project(tmp_path / "project", (*linear(1), TALKATIVE), "sqlite://")
    common = ("--config", project.ini, "--url", url)
    done = magetui(*common, "migrate", "--yes", env=environment)
    assert done.status == 0, done
    assert "it is ***" in done.stderr, "the script told it"
    assert pg_database.current == ["rev2"]
    found = magetui(*common, "--json", "diagnose", env=environment)
    assert found.status == 0, found
    target = found.json["target"]
    assert (target["address"], target["user"]) == (f"{HOST}:{pg_database.server.port}", USER)
    saved = magetui(*common, "backup", "--pg-dump", pg_database.server.bin / "pg_dump", env=environment)
    assert saved.status == 0, saved
    for outcome in (done, found, saved):
        nowhere([outcome, state_dir])


@pytest.mark.slow
def test_several_hosts_of_which_one_answers(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase, state_dir: Path
) -> None:
    login, port = f"{USER}:{quote(PASSWORD, safe='')}", pg_database.server.port
    hosts = f"host={HOST}:{closed_port()}&host={HOST}:{port}"
    url = f"postgresql://{login}@/{pg_database.name}?{hosts}"
    walk(magetui, ("--config", project.ini), f"{url}&target_session_attrs=read-write", pg_database, state_dir)
    shown = magetui("--config", project.ini, "--url", url, "diagnose")
    assert f" at {HOST}:{port}\n" in shown.stdout
    refused = magetui("--config", project.ini, "--url", f"{url}&target_session_attrs=standby", "--json", "diagnose")
    assert refused.json["findings"][0]["facts"]["cause"] == "refused"
    assert "No server that answers fulfils target_session_attrs." in told(refused)


def test_what_is_wrong_with_a_password_file_or_a_service_is_told(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase, state_dir: Path
) -> None:
    home = state_dir.parents[1]
    plain = f"postgresql://{USER}@{HOST}:{pg_database.server.port}/{pg_database.name}"
    wrong = home / "wrong"
    wrong.write_text(f"*:*:*:*:{PASSWORD[::-1]}\n".replace(":w", "\\:w"))
    wrong.chmod(0o600)
    readable = home / "readable"
    readable.write_text(f"*:*:*:*:{PASSWORD.replace(':', chr(92) + ':')}\n")
    readable.chmod(0o644)
    for url, environment, cause, sentence in (
        (plain, {}, "password", "Give the password in the URL, in PGPASSWORD, or in ~/.pgpass, which others"),
        (plain, {"PGPASSFILE": str(readable)}, "password", "be able to read (chmod 600)"),
        (plain, {"PGPASSFILE": str(wrong)}, "password", "The password file has another password than the server"),
        ("postgresql:///?service=nix", {}, "bad-url", "Check the service's name, and PGSERVICEFILE or"),
        (f"{plain}?sslmode=nonsense", {"PGPASSWORD": PASSWORD}, "bad-url", 'invalid sslmode value: "nonsense"'),
        (f"{plain}?sslmode=require", {"PGPASSWORD": PASSWORD}, "tls", "server does not support SSL"),
        (f"postgresql://nobody1@{plain.partition('@')[2]}", {"PGPASSWORD": "x"}, "password", "Check the user and"),
    ):
        found = magetui("--config", project.ini, "--url", url, "--json", "diagnose", env=environment)
        finding = found.json["findings"][0]
        assert finding["facts"]["cause"] == cause, finding
        assert sentence in finding["message"]
        assert found.stderr == "", "libpq has complained into the screen"
        nowhere([json.dumps(found.json)])
        nowhere([found, state_dir], PASSWORD[::-1])
