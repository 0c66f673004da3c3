"""The lock forecast of Alembic's operations, against what real servers lock, read and rewrite for them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.preview.lock_forecast import after, effects
from magetui.model.lock_modes import LockMode
from magetui.model.operations import (
    AddColumn,
    AlterColumn,
    Autocommit,
    DropIndex,
    DropTable,
    ExecuteSql,
    Other,
    RebuildTable,
)
from magetui.model.schema import Column
from magetui.runner.recorder import Recorder
from tests.support.databases import PostgresDatabase
from tests.support.lock_facts import (
    claimed,
    observed,
    run_through,
    shown,
    with_work,
)

pytestmark = pytest.mark.every_version


def test_default_from_a_function_that_nobody_knows_may_be_volatile() -> None:
    [made] = effects(
        ExecuteSql("alter table pet add column tag text default make_tag('a')"),
        16,
        SchemaState("postgresql", open=True),
    )
    assert (made.work, made.note) == ("rewrite", "fills in a default, unless make_tag() is not volatile")


def test_without_a_database_the_tables_that_may_be_locked_too_are_described() -> None:
    drop, referred = effects(DropTable("visit", None), 16, SchemaState("postgresql", open=True))
    assert (drop.table, drop.mode) == ("visit", LockMode.ACCESS_EXCLUSIVE)
    assert (referred.table, referred.mode) == (None, LockMode.ACCESS_EXCLUSIVE)
    assert referred.note == "the tables that foreign keys of visit refer to"
    kind, connected = effects(AlterColumn("visit", None, "code", type="TEXT"), 16, SchemaState("postgresql", open=True))
    assert (kind.work, kind.note) == ("rewrite", "unless the type it has now is stored in the same way")
    assert connected.note == "the tables that a foreign key connects with visit.code"
    [index] = effects(DropIndex("ix_visit", None, None), 16, SchemaState("postgresql", open=True))
    assert (index.table, index.note) == (None, "the table of index ix_visit")


def test_table_that_the_run_created_and_committed_is_waited_for_again() -> None:
    known = after(ExecuteSql("create table toy (id int)"), SchemaState("postgresql"))
    add = AddColumn("toy", None, Column("made", "TIMESTAMP", nullable=True, default="clock_timestamp()"))
    assert effects(add, 16, known) == ()
    [made] = effects(add, 16, after(Autocommit(begins=True), known))
    assert (made.table, made.mode, made.work) == ("toy", LockMode.ACCESS_EXCLUSIVE, "rewrite")
    assert made.note == "fills in a volatile default: clock_timestamp()"


def test_other_operations_of_alembic_say_what_is_known_of_them() -> None:
    [comment] = effects(Other("CreateTableCommentOp"), 16, SchemaState("postgresql", open=True))
    assert (comment.table, comment.mode) == (None, LockMode.SHARE_UPDATE_EXCLUSIVE)
    [other] = effects(Other("ReplaceableObjectOp"), 16, SchemaState("postgresql", open=True))
    assert other.unknown
    assert effects(RebuildTable("pet", None), 16, SchemaState("postgresql", open=True)) == ()


# -- operations, as scripts write them


def add_columns() -> None:
    op.add_column("person", sa.Column("nick", sa.String(20), server_default="x", nullable=False))
    op.add_column("person", sa.Column("made", sa.DateTime(timezone=True), server_default=sa.func.now()))
    op.add_column("person", sa.Column("home", sa.Integer, sa.ForeignKey("town.id"), unique=True, index=True))


def add_random_column() -> None:
    op.add_column("person", sa.Column("key", sa.Uuid, server_default=sa.text("gen_random_uuid()")))


def drop_columns() -> None:
    op.drop_column("visit", "pet_id")
    op.drop_column("person", "age")


def widen() -> None:
    op.alter_column("person", "name", type_=sa.Text, existing_type=sa.String(50))
    op.alter_column("note", "code", type_=sa.String(30), nullable=True)


def narrow() -> None:
    op.alter_column("person", "name", type_=sa.String(20))


def retype_key() -> None:
    op.alter_column("town", "id", type_=sa.BigInteger)


def cast() -> None:
    op.alter_column("person", "mood", type_=sa.Text, postgresql_using="mood::text")


def require() -> None:
    op.alter_column("person", "age", nullable=False, server_default="3")


def rename() -> None:
    op.alter_column("person", "age", new_column_name="years")
    op.rename_table("note", "letter")


def create_tables() -> None:
    op.create_table(
        "k",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("town_id", sa.Integer, sa.ForeignKey("town.id")),
        sa.Column("above", sa.Integer, sa.ForeignKey("k.id")),
        sa.Column("mood", sa.Enum("a", "b", name="temper")),
        sa.Column("pet_id", sa.Integer, sa.ForeignKey("archive.pet.id")),
    )
    op.create_index("ix_k", "k", ["town_id"])
    op.bulk_insert(sa.table("k", sa.column("id", sa.Integer)), [{"id": 1}])
    op.add_column("k", sa.Column("u", sa.Uuid, server_default=sa.text("gen_random_uuid()")))


def drop_tables() -> None:
    op.drop_table("visit")
    op.drop_table("pet", schema="archive")


def create_and_drop() -> None:
    create_tables()
    op.drop_index("ix_k")
    op.drop_table("k")


def index() -> None:
    op.create_index("ix_pet_weight", "pet", ["weight"])


def drop_indexes() -> None:
    op.drop_index("ix_pet_name")


def constrain() -> None:
    op.create_foreign_key("c", "pet", "person", ["vet_id"], ["id"])
    op.create_check_constraint("positive", "toy", "code > 0")
    op.create_unique_constraint("u", "note", ["tiny"])


def constrain_what_comes() -> None:
    op.create_foreign_key("c", "pet", "person", ["vet_id"], ["id"], postgresql_not_valid=True)
    op.create_check_constraint("positive", "toy", "code > 0", postgresql_not_valid=True)


def constrain_key() -> None:
    op.create_primary_key("p", "note", ["tiny"])


def release() -> None:
    op.drop_constraint("pet_owner_id_fkey", "pet", type_="foreignkey")
    op.drop_constraint("note_length_check", "note")


def release_unsaid() -> None:
    op.drop_constraint("visit_pet_id_fkey", "visit")


def release_what_was_made() -> None:
    op.create_foreign_key("c", "base", "note", ["id"], ["tiny"])
    op.drop_constraint("c", "base")


def insert() -> None:
    pet = sa.table("pet", sa.column("id", sa.Integer), sa.column("owner_id", sa.Integer))
    op.bulk_insert(pet, [{"id": 70, "owner_id": 1}])


def retype_and_use() -> None:
    op.execute("alter table note alter column code type text")
    op.alter_column("note", "code", type_=sa.String)
    op.execute("alter table note drop constraint note_length_check")
    op.execute("create table k (id int references note (tiny))")
    op.drop_table("k")


OPERATIONS = (
    add_columns,
    add_random_column,
    drop_columns,
    widen,
    narrow,
    retype_key,
    cast,
    require,
    rename,
    create_tables,
    drop_tables,
    create_and_drop,
    index,
    drop_indexes,
    constrain,
    constrain_what_comes,
    constrain_key,
    release,
    release_unsaid,
    release_what_was_made,
    insert,
    retype_and_use,
)


def test_operation_locks_and_writes_anew_what_the_plan_says(house: PostgresDatabase, known: SchemaState) -> None:
    engine = sa.create_engine(house.url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for script in OPERATIONS:
            recorded = Recorder("postgresql").record(script)
            assert recorded.undecidable is None
            made, _ = run_through(recorded.operations, house.server.major, known)
            with Operations.context(MigrationContext.configure(connection)):
                seen = observed(cursor, script)
            connection.rollback()
            assert claimed(made) == seen.locks, script.__name__
            assert with_work(made, "rewrite") == seen.rewritten, script.__name__
            unsure = {shown(one) for one in made if one.note == "the foreign key refers to it"}  # not for nulls alone
            assert with_work(made, "scan", "build", "rewrite") - unsure == seen.scanned - unsure, script.__name__
            assert not [one for one in made if one.table is None], script.__name__
    engine.dispose()
