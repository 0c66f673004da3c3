"""TLS with certificates of the tests' own: who the server is, who the client is, and what each mistake is told as."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject
from tests.support.command import Magetui
from tests.support.complaints import cannot_connect
from tests.support.databases import PostgresDatabase
from tests.support.debian import Authority, DebianServer, has_ipv6
from tests.support.postgres import HOST
from tests.support.waiting import eventually
from tests.support.ways import walk

pytestmark = [pytest.mark.slow, pytest.mark.debian]


@pytest.fixture
def debian_database(debian: DebianServer, debian_url: str) -> PostgresDatabase:
    return PostgresDatabase(debian, debian_url.rpartition("/")[2])


def test_server_that_proves_who_it_is_by_a_certificate_named_from_where_the_operator_stands(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, debian: DebianServer, state_dir: Path
) -> None:
    (magetui.directory / "ours.crt").write_bytes(debian.authority.certificate.read_bytes())
    url = f"{debian_database.url}?sslmode=verify-full&sslrootcert=ours.crt"
    walk(magetui, ("--config", project.ini), url, debian_database, state_dir)
    found = magetui("--config", project.ini, "--url", url, "--json", "diagnose")
    assert (found.json["target"]["tls"], found.json["target"]["address"]) == ("TLSv1.3", f"{HOST}:{debian.port}")
    assert "server    postgresql " in (shown := magetui("--config", project.ini, "--url", url, "diagnose")).stdout
    assert ", TLSv1.3\n" in shown.stdout


def test_server_on_ipv6(magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase) -> None:
    url = debian_database.url.replace(HOST, "[::1]")
    if not has_ipv6():
        cannot_connect(magetui, project.ini, url, "refused", "[::1]")
        return
    done = magetui("--config", project.ini, "--url", url, "migrate", "--yes")
    assert done.status == 0, done
    assert f"on mage@[::1]:{debian_database.server.port}/" in done.stderr
    shown = magetui("--config", project.ini, "--url", url, "diagnose")
    assert " at " not in next(line for line in shown.stdout.splitlines() if line.startswith("server "))


def test_certificates_that_are_wrong_are_told_as_such(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, debian: DebianServer, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger").certificate
    ours, verify = debian.authority.certificate, "sslmode=verify-full&sslrootcert"
    for url, sentence in (
        (f"{debian_database.url}?{verify}={stranger}", "certificate verify failed"),
        (f"{debian_database.url}?{verify}=nowhere.crt", 'root certificate file "nowhere.crt" does not exist'),
        (
            f"{debian_database.url.replace(HOST, 'ip6-localhost')}&hostaddr={HOST}".replace("&", f"?{verify}={ours}&"),
            "match",
        ),
    ):
        cannot_connect(
            magetui, project.ini, url, "tls", sentence, "Check sslmode and the certificates named in the URL."
        )


def test_role_that_is_known_by_its_certificate_alone(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, debian: DebianServer
) -> None:
    name = f"{debian_database.name}_certified"
    key, certificate = debian.authority.issue(name)
    rules = debian.data / "pg_hba.conf"
    before = rules.read_text()
    debian.execute("postgres", f"create role {name} login")
    debian.execute(debian_database.name, f"grant create on schema public to {name}")
    try:
        ours = f"{debian_database.name} {name} {HOST}/32"
        rules.write_text(f"hostssl {ours} cert\nhostnossl {ours} reject\n{before}")
        _reload(debian, name)
        url = f"postgresql://{name}@{HOST}:{debian.port}/{debian_database.name}"
        cannot_connect(magetui, project.ini, url, "tls", "requires a valid client certificate")
        own = f"{url}?sslmode=require&sslcert={certificate}&sslkey={key}"
        plain = f"{url}?sslmode=disable"
        cannot_connect(magetui, project.ini, plain, "tls", "Try sslmode=require in the URL.")
        key.chmod(0o644)
        cannot_connect(magetui, project.ini, own, "tls", "private key file", "has group or world access")
        key.chmod(0o600)
        done = magetui("--config", project.ini, "--url", own, "migrate", "--yes")
        assert done.status == 0, done
    finally:
        rules.write_text(before)
        _reload(debian, name, there=0)
        debian.execute(debian_database.name, f"drop owned by {name} cascade")
        debian.execute("postgres", f"drop role {name}")


def _reload(server: DebianServer, role: str, *, there: int = 2) -> None:
    """Have the server read its rules anew, and wait until it says so."""
    before = server.log.count("reloading configuration files")
    os.kill(server.pid, signal.SIGHUP)
    eventually(lambda: server.log.count("reloading configuration files") > before)
    sql = f"select count(*) from pg_hba_file_rules where user_name = '{{{role}}}'"
    assert server.execute("postgres", sql) == [(there,)]
