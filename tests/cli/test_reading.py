"""The verbs that read: they change nothing, take no lock that anybody would feel, and read-only means it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.journals import journal
from tests.support.mage import HEAD, migrate_with_alembic

pytestmark = pytest.mark.slow

READING = (
    ("diagnose",),
    ("history",),
    ("plan", "migrate"),
    ("plan", "rollback", "--revision", "-3"),
    ("plan", "stamp", "base"),
    ("migrate", "--sql", "--yes"),
    ("schema",),
    ("schema", "pipeline_run"),
    ("evidence",),
    ("locks",),
    ("runs",),
)
CHANGING = (("migrate",), ("rollback", "--revision", "-1"), ("stamp", "base"))
BEHIND = "42a14d6143f1"


@pytest.fixture
def common(database: Database, mage_home: Path) -> tuple[object, ...]:
    """The flags for a database two revisions behind."""
    migrate_with_alembic(database.url, mage_home, BEHIND)
    return ("--mage-path", mage_home, "--url", database.url)


def test_reading_verbs_change_nothing(database: Database, magetui: Magetui, common: tuple[object, ...]) -> None:
    before = database.content
    beside = sorted(database.path.parent.iterdir()) if isinstance(database, SqliteDatabase) else []
    for verb in READING:
        for flags in ((), ("--json",)):
            told = magetui(*common, *flags, *verb)
            assert told.status == (3 if verb == ("diagnose",) else 0), told
            assert told.stdout
            if flags:
                assert told.json
    assert database.content == before
    if isinstance(database, SqliteDatabase):
        assert sorted(database.path.parent.iterdir()) == beside


@pytest.mark.every_version
def test_reading_verbs_get_past_every_lock_but_access_exclusive(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path
) -> None:
    # It conflicts with every mode but ACCESS SHARE: a verb that took more would end at its lock timeout.
    migrate_with_alembic(pg_database.url, mage_home, BEHIND)
    tables = pg_database.rows("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
    names = ", ".join(name for (name,) in tables)
    with pg_database.session(f"LOCK TABLE {names} IN EXCLUSIVE MODE"):
        for verb in READING:
            told = magetui("--mage-path", mage_home, "--url", pg_database.url, *verb)
            assert told.status == (3 if verb == ("diagnose",) else 0), told


def test_reading_verbs_do_not_wait_behind_access_exclusive(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEHIND)
    common = ("--mage-path", mage_home, "--url", pg_database.url)
    with pg_database.session("LOCK TABLE pipeline_run, alembic_version IN ACCESS EXCLUSIVE MODE") as holder:
        listed = magetui(*common, "schema", "--json")
        assert listed.status == 0, listed
        assert "pipeline_run" in [table["name"] for table in listed.json["tables"]]
        assert magetui(*common, "schema", "pipeline_run").status == 0
        found = magetui(*common, "diagnose", "--json")
        assert found.status == 3
        [unreadable] = [f for f in found.json["findings"] if f["code"] == "unreadable-version-table"]
        assert "locked" in unreadable["message"]
        assert unreadable["next"] == "locks"
        sessions = magetui(*common, "locks", "--json").json["sessions"]
        assert holder.info.backend_pid in [session["pid"] for session in sessions]
        refused = magetui(*common, "migrate", "--yes")
        assert refused.status == 4, refused


def test_read_only_refuses_every_change(
    database: Database, magetui: Magetui, common: tuple[object, ...], state_dir: Path
) -> None:
    before = database.content
    for verb in CHANGING:
        refused = magetui(*common, "--read-only", *verb, "--yes")
        assert refused.status == 4, refused
        assert "--read-only is set, so nothing is changed." in refused.stderr
    assert magetui(*common, "--read-only", "diagnose").status == 3
    assert database.content == before
    assert journal(state_dir) == []


@pytest.mark.every_version
def test_read_only_touches_no_session(pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path) -> None:
    with pg_database.session("SELECT 1") as other:
        common = ("--mage-path", mage_home, "--url", pg_database.url, "--read-only")
        refused = magetui(*common, "locks", "--terminate", other.info.backend_pid, "--yes")
        assert refused.status == 4, refused
        other.cursor().execute("SELECT 1")  # raises where it was ended


@pytest.mark.parametrize("verb", CHANGING, ids=lambda verb: verb[0])
def test_change_without_a_terminal_wants_yes(
    database: Database, magetui: Magetui, common: tuple[object, ...], verb: tuple[str, ...], state_dir: Path
) -> None:
    before = database.content
    refused = magetui(*common, *verb, stdin="y\n")
    assert refused.status == 4, refused
    assert "--yes" in refused.stderr
    assert database.content == before
    assert journal(state_dir) == []


def test_role_that_may_not_write_is_refused_by_the_server_and_told(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEHIND)
    pg_database.rows(f"ALTER DATABASE {pg_database.name} SET default_transaction_read_only = on")
    before = pg_database.content
    common = ("--mage-path", mage_home, "--url", pg_database.url)
    found = magetui(*common, "diagnose", "--json").json["findings"]
    assert "server-read-only" in [finding["code"] for finding in found]
    failed = magetui(*common, "migrate", "--yes")
    assert failed.status == 4, failed
    assert "default_transaction_read_only is on" in failed.stderr
    assert "Nothing was changed." in failed.stderr
    assert pg_database.content == before


@pytest.mark.every_version
def test_diagnose_says_the_same_in_both_shapes(
    database: Database, magetui: Magetui, common: tuple[object, ...]
) -> None:
    text, document = magetui(*common, "diagnose"), magetui(*common, "diagnose", "--json").json
    assert document["current"] == [BEHIND]
    assert document["heads"] == [HEAD]
    assert document["pending"] == ["0227396a216c", HEAD]
    assert set(document) == {
        "format",
        "target",
        "project",
        "current",
        "heads",
        "pending",
        "findings",
        "elapsed_ms",
    }
    assert set(document["target"]) == {
        "url", "source", "dialect", "server_version", "database", "schema", "user", "address", "tls",
    }  # fmt: skip
    assert f"{BEHIND}  (mage-ai 0.9.70)" in text.stdout
    assert f"{HEAD}  (mage-ai 0.9.77 to 0.9.80)" in text.stdout
    assert "WARNING   behind" in text.stdout
    assert "next: magetui migrate" in text.stdout


def test_the_sql_of_a_change_is_a_whole_script_with_its_current_revision(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(3), pg_database.url)
    for verb, current in (
        (("migrate",), ["rev3"]),
        (("rollback", "--revision", "rev1"), ["rev1"]),
        (("stamp", "rev2"), ["rev2"]),
    ):
        printed = magetui("--config", project.ini, *verb, "--sql")
        assert printed.status == 0, printed
        pg_database.rows(printed.stdout)
        assert pg_database.current == current
    assert pg_database.rows("select tablename from pg_tables where schemaname = 'public' order by 1") == [
        ("alembic_version",),
        ("t1",),
    ]


def test_sql_that_cannot_be_known_beforehand_is_refused_whole(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    printed = magetui("--mage-path", mage_home, "--url", pg_database.url, "migrate", "--sql")
    assert (printed.status, printed.stdout) == (4, "")
    assert "There is no SQL for revision 90d978a8aef8" in printed.stderr
