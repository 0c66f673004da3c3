"""The screen, opened through each way to a database: what it is connected to, and what cannot be done there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.debian import DebianServer, PgBouncer
from tests.support.mage import HEAD, migrate_with_alembic
from tests.support.postgres import PASSWORD
from tests.support.standby import Standby
from tests.support.terminal import Terminal
from tests.tui.conftest import ASKED, OpenScreen, agree, set_back

pytestmark = pytest.mark.slow

WIDE = (120, 40)


def left(terminal: Terminal) -> None:
    """Quit; the password has never been on the screen."""
    terminal.press("q")
    assert terminal.wait_exit() == 0
    assert PASSWORD.encode() not in terminal.output
    assert b"s3cret" not in terminal.output


def test_schema_that_is_missing_is_created_with_the_consent_to_the_plan(
    pg_database: PostgresDatabase, open_screen: OpenScreen
) -> None:
    terminal = open_screen(f"{pg_database.url}?options=-csearch_path%3Dmage_prod", until="SCHEMA MISSING", size=WIDE)
    terminal.wait_for(r"m\s+\(Migrate\)\s+creates\s+it\W+first")
    terminal.press("m")
    terminal.wait_for("creates schema mage_prod first")
    terminal.wait_for(ASKED)
    assert pg_database.rows("select 1 from pg_namespace where nspname = 'mage_prod'") == []
    agree(terminal)
    terminal.wait_for(rf"DONE\s+Current revision: {HEAD}", 60)
    assert pg_database.rows("select version_num from mage_prod.alembic_version") == [(HEAD,)]
    terminal.press("escape")
    terminal.wait_for("UP TO DATE")
    terminal.wait_for("schema mage_prod")
    left(terminal)


def test_unix_socket_is_named(mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(mage.server.socket_url(mage.name), until="UP TO DATE", size=WIDE)
    terminal.wait_for(rf"^ magetui .*socket {mage.server.directory}")
    left(terminal)


def test_standby_takes_no_migration(mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    set_back(mage)
    with Standby(mage.server) as standby:
        terminal = open_screen(standby.url(mage.name), until="BEHIND BY 1", size=WIDE)
        terminal.wait_for("server-read-only")
        terminal.press("m")
        terminal.wait_for("This cannot be done here. The server is a standby")
        terminal.press("escape")
        terminal.wait_gone("This cannot be done here")
        left(terminal)


@pytest.fixture
def behind(debian: DebianServer, debian_url: str, mage_home: Path) -> Iterator[PostgresDatabase]:
    """A database of Debian's server, one revision behind."""
    migrate_with_alembic(debian_url, mage_home)
    database = PostgresDatabase(debian, debian_url.rpartition("/")[2])
    set_back(database)
    yield database


@pytest.mark.debian
def test_tls_is_told_and_through_a_pooler_nothing_is_changed(
    behind: PostgresDatabase, debian: DebianServer, open_screen: OpenScreen
) -> None:
    certified = f"{behind.url}?sslmode=verify-full&sslrootcert={debian.authority.certificate}"
    terminal = open_screen(certified, until="BEHIND BY 1", size=WIDE)
    terminal.wait_for(r"connected +TLSv1\.3")
    left(terminal)
    before = behind.content
    with PgBouncer(debian, "transaction") as pooler:
        terminal = open_screen(pooler.url(behind.name), until="BEHIND BY 1", size=WIDE)
        terminal.wait_for("! pooler")
        terminal.press("1")
        terminal.wait_for("─ 2 Revisions")
        terminal.press("j")
        terminal.wait_for(rf"listens on port {debian.port}")
        terminal.press("m")
        terminal.wait_for("This cannot be done here. A connection pooler is in between")
        terminal.press("escape")
        terminal.wait_gone("This cannot be done here")
        left(terminal)
    assert behind.content == before
