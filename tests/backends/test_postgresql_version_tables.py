"""Version tables and leftovers in PostgreSQL while sessions hold locks or a role lacks privileges, on real servers."""

from __future__ import annotations

import threading

import psycopg2
import pytest

from magetui.backends.postgresql import catalog
from magetui.model.schema import Index, Leftover, Table
from tests.support.cataloged import CatalogedDatabase, execute, without_waiting
from tests.support.postgres import PostgresServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_version


# -- version tables


def test_of_two_version_tables_the_one_alembic_would_use_comes_first(catalogued: CatalogedDatabase) -> None:
    catalogued.run(
        "create schema a",
        "create table a.alembic_version (version_num varchar(32))",
        "insert into a.alembic_version values ('old')",
        "create table public.alembic_version (version_num varchar(32))",
        "insert into public.alembic_version values ('two'), ('one')",
    )
    first, second = catalog.version_tables(catalogued.reader, "alembic_version", None)
    assert (first.schema, first.rows, first.effective) == ("public", ("one", "two"), True)
    assert (second.schema, second.rows, second.effective) == ("a", ("old",), False)
    first, second = catalog.version_tables(catalogued.reader, "alembic_version", "a")
    assert (first.schema, first.effective, second.effective) == ("a", True, False)
    first, second = catalog.version_tables(catalogued.reader, "alembic_version", "missing")
    assert not (first.effective or second.effective)
    of_others = catalog.version_tables(catalogued.reader, "absent", None)
    assert {(table.name, table.effective) for table in of_others} == {("alembic_version", False)}


def test_a_version_table_with_a_wrong_column_says_so(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table alembic_version (version text)")
    [table] = catalog.version_tables(catalogued.reader, "alembic_version", None)
    assert table.rows is None
    assert (
        table.problem == "public.alembic_version has no column version_num, so it is not a version table of Alembic's."
    )


def test_a_locked_version_table_says_so_without_waiting(catalogued: CatalogedDatabase) -> None:
    catalogued.run('create table "v %s" (version_num text)')
    catalogued.session('lock table "v %s" in access exclusive mode')
    with without_waiting(catalogued.reader):
        [table] = catalog.version_tables(catalogued.reader, "v %s", None)
    assert table.rows is None
    assert table.problem is not None
    assert table.problem.startswith("Another session has public.v %s locked (ACCESS EXCLUSIVE)")


def test_a_version_table_behind_a_locked_index_costs_the_lock_timeout_and_no_exception(
    catalogued: CatalogedDatabase,
) -> None:
    catalogued.run("create table alembic_version (version_num text primary key)")
    catalogued.session("reindex index alembic_version_pkey")
    [table] = catalog.version_tables(catalogued.reader, "alembic_version", None)
    assert table.rows is None
    assert table.problem is not None
    assert "locked" in table.problem
    assert catalog.tables(catalogued.reader)  # and the connection still works


def test_a_role_without_rights_is_told_which_it_lacks(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table alembic_version (version_num text)", "create table other (id integer)")
    reader = catalogued.reading(catalogued.role_url("nosy"))
    [table] = catalog.version_tables(reader, "alembic_version", None)
    assert table.rows is None
    assert table.problem is not None
    assert table.problem.startswith("This role may not read public.alembic_version")
    assert [t.name for t in catalog.tables(reader)] == ["alembic_version", "other"]
    assert [t.name for t in catalog.not_owned(reader)] == ["alembic_version", "other"]
    assert catalog.not_owned(reader)[0] == Table("public", "alembic_version", None, None, "mage")
    assert catalog.not_owned(catalogued.reader) == ()


def test_a_member_of_the_owning_role_owns_too(catalogued: CatalogedDatabase) -> None:
    owner = catalogued.role_url("owner_role")
    member = catalogued.role_url("member_role", "grant owner_role to member_role")
    catalogued.run("create table t (id integer)", "alter table t owner to owner_role")
    assert catalog.not_owned(catalogued.reading(owner)) == ()
    assert catalog.not_owned(catalogued.reading(member)) == ()


# -- leftovers


def test_an_index_left_by_a_failed_concurrent_build_is_found(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table t (id integer)", "insert into t values (1), (1)")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        catalogued.run("create unique index concurrently ux on t (id)")
    catalogued.run("create table _alembic_tmp_user (id integer)", "create table xalembicytmpzuser (id integer)")
    assert catalog.leftovers(catalogued.reader) == (
        Leftover("invalid-index", "public", "ux", "t"),
        Leftover("leftover-table", "public", "_alembic_tmp_user", "user"),
    )
    [t] = catalog.table_details(catalogued.reader, None, "t")
    assert t.indexes == (Index("ux", ("id",), unique=True, valid=False),)


@pytest.mark.parametrize("privileged", [True, False], ids=["as owner", "as a role that sees no progress"])
def test_an_index_that_is_being_built_is_no_leftover(
    postgres: PostgresServer, catalogued: CatalogedDatabase, privileged: bool
) -> None:
    catalogued.run("create table t (id integer)")
    reader = catalogued.reader if privileged else catalogued.reading(catalogued.role_url("outsider"))
    catalogued.session("insert into t values (1)")
    builder = postgres.connect(catalogued.name, autocommit=True)
    thread = threading.Thread(target=execute, args=(builder, "create index concurrently ix on t (id)"))
    thread.start()
    try:
        eventually(lambda: postgres.execute(catalogued.name, "select 1 from pg_index where not indisvalid"))
        assert catalog.leftovers(reader) == ()
    finally:
        catalogued.run(f"select pg_terminate_backend({builder.info.backend_pid})")
        thread.join(20)
        builder.close()
    assert catalog.leftovers(reader) == (Leftover("invalid-index", "public", "ix", "t"),)
