"""A streaming standby: it can be read and backed up, what would change it is refused, and its primary is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase
from tests.support.leaks import nowhere
from tests.support.mage import HEAD
from tests.support.postgres import HOST, PASSWORD, USER, PostgresServer
from tests.support.standby import Standby

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])]

BEFORE_HEAD = "0227396a216c"


@pytest.fixture
def primary(postgres: PostgresServer, mage_pg_url: str) -> PostgresDatabase:
    """At the head of Mage's chain."""
    return PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])


@pytest.fixture
def standby(primary: PostgresDatabase) -> Iterator[Standby]:
    made = Standby(primary.server)
    made.start()
    yield made
    made.remove()


def text(outcome: Outcome) -> str:
    """What was told, as one line."""
    return " ".join((outcome.stdout + outcome.stderr).split())


def test_standby_is_read_and_refused_and_of_two_hosts_the_one_that_takes_writes_is_found(
    magetui: Magetui, mage_home: Path, primary: PostgresDatabase, standby: Standby, state_dir: Path
) -> None:
    common = ("--mage-path", mage_home, "--url", standby.url(primary.name))
    told = [found := magetui(*common, "--json", "diagnose")]
    assert found.status == 0, found
    assert [(one["code"], one["severity"]) for one in found.json["findings"]] == [
        ("up-to-date", "ok"),
        ("server-read-only", "info"),
    ]
    assert (
        f"it replays the server {HOST}:{primary.server.port} and takes no writes"
        in found.json["findings"][1]["message"]
    )
    for verb in (("rollback", "--revision", "-1", "--yes"), ("stamp", BEFORE_HEAD, "--yes"), ("verify", "--yes")):
        told.append(refused := magetui(*common, *verb))
        assert refused.status == 4, refused
        assert f"The server is a standby, in recovery: it replays the server {HOST}:" in text(refused)
    told.append(saved := magetui(*common, "backup", "--pg-dump", standby.bin / "pg_dump"))
    assert saved.status == 0, saved

    login = f"{USER}:{quote(PASSWORD, safe='')}"
    hosts = f"host={HOST}:{standby.port}&host={HOST}:{primary.server.port}"
    both = ("--mage-path", mage_home, "--url", f"postgresql://{login}@/{primary.name}?{hosts}")
    [*first, url] = both
    writes = (*first, f"{url}&target_session_attrs=read-write")
    told.append(done := magetui(*writes, "rollback", "--revision", "-1", "--yes"))
    assert done.status == 0, done
    assert primary.current == [BEFORE_HEAD]
    primary.rows("drop type jobtype, jobstatus")  # Mage's own way back leaves them
    standby.catch_up()
    told.append(found := magetui(*both, "--json", "diagnose"))
    assert found.status == 3
    assert found.json["target"]["address"] == f"{HOST}:{standby.port}", "the first that answers"
    barred = {one["code"]: (one["severity"], one["next"]) for one in found.json["findings"]}
    assert barred["behind"] == barred["server-read-only"] == ("warning", "connect")
    told.append(refused := magetui(*both, "migrate", "--yes"))
    assert refused.status == 4, refused
    told.append(done := magetui(*writes, "migrate", "--yes"))
    assert done.status == 0, done
    assert primary.current == [HEAD]

    alone = f"{standby.url(primary.name)}?target_session_attrs=read-write"
    told.append(found := magetui("--mage-path", mage_home, "--url", alone, "--json", "diagnose"))
    assert found.json["findings"][0]["facts"]["cause"] == "refused"
    assert "No server that answers fulfils target_session_attrs." in found.json["findings"][0]["message"]
    for outcome in told:
        nowhere([outcome, state_dir])
