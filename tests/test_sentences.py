"""The operations of a revision in words: one line for each kind of operation, safe to show."""

from __future__ import annotations

import pytest

from magetui.model import operations as made
from magetui.model.schema import Column, ForeignKey, Index
from magetui.protocol.codec import kinds
from magetui.text.operations import NOTHING, doing, doings

ENTITY = Column("entity", "entity", nullable=True)
COUNT = Column("count", "INTEGER", nullable=False, default="'0'")
TO_USER = ForeignKey(None, ("user_id",), None, "user", ("id",), "CASCADE")

SENTENCES = [
    (made.CreateTable("job", None, (ENTITY,)), "creates table job (1 column)"),
    (
        made.CreateTable("job", "team", (ENTITY, COUNT), (), (Index("i", ("count",)),), (TO_USER,)),
        "creates table team.job (2 columns, 1 index, 1 foreign key)",
    ),
    (made.DropTable("job", None), "drops table job"),
    (made.RenameTable("job", None, "task"), "renames table job to task"),
    (made.RebuildTable("job", None), "rebuilds table job as a copy, with the changes that follow"),
    (made.AddColumn("role", None, ENTITY), "adds role.entity (entity, null)"),
    (made.AddColumn("role", None, COUNT), "adds role.count (INTEGER, not null, default '0')"),
    (made.DropColumn("role", None, "entity"), "drops role.entity"),
    (
        made.AlterColumn("role", None, "a", new_name="b", type="TEXT", using="a::text", nullable=False),
        "changes role.a: renamed to b, type TEXT using a::text, not null",
    ),
    (made.AlterColumn("role", None, "a", nullable=True, default="1"), "changes role.a: may be null, default 1"),
    (made.AlterColumn("role", None, "a", drops_default=True), "changes role.a: no default"),
    (made.AlterColumn("role", None, "a"), "changes role.a: nothing that magetui checks"),
    (made.CreateIndex("t", None, Index("i", ("a", "b"))), "creates index i on t (a, b)"),
    (
        made.CreateIndex("t", None, Index("i", ("a",), unique=True), concurrently=True),
        "creates unique index i on t (a), concurrently",
    ),
    (
        made.CreateIndex("t", None, Index("i", ("a",), unique=True), condition="b > 0"),
        "creates unique index i on t (a) where b > 0",
    ),
    (
        made.Refused("Identifier 'i' is too long"),
        "is refused before it reaches the server: Identifier 'i' is too long",
    ),
    (made.DropIndex("i", "t", None), "drops index i of t"),
    (made.DropIndex("i", None, "team", concurrently=True), "drops index team.i, concurrently"),
    (made.AddConstraint("t", None, "unique", "u", ("a", "b")), "adds unique constraint u to t (a, b)"),
    (made.AddConstraint("t", None, "primary", None, ("a",)), "adds primary key to t (a)"),
    (made.AddConstraint("t", None, "check", "c", definition="a > 0"), "adds check c to t: a > 0"),
    (
        made.AddConstraint("t", None, "foreign", "f", foreign_key=TO_USER),
        "adds foreign key f from t (user_id) to user (id), on delete cascade",
    ),
    (
        made.AddConstraint("t", None, "check", "c", definition="a > 0", valid=False),
        "adds check c to t: a > 0, without checking existing rows",
    ),
    (made.DropConstraint("t", None, "f", "foreign"), "drops foreign key f of t"),
    (made.DropConstraint("t", None, None, None), "drops constraint without a name of t"),
    (made.CreateType("mood", None, ("sad", "ok")), "creates type mood ('sad', 'ok')"),
    (
        made.CreateType("mood", None, tuple("abcdefgh")),
        "creates type mood ('a', 'b', 'c', 'd', 'e', 'f', and 2 more)",
    ),
    (made.DropType("mood", None), "drops type mood"),
    (made.ExecuteSql("UPDATE t\n   SET a = 1"), "runs SQL: UPDATE t SET a = 1"),
    (made.InsertRows("t", None, 1), "inserts 1 row into t"),
    (made.Autocommit(begins=True), "commits the changes so far; each later statement commits by itself"),
    (made.Autocommit(begins=False), "starts a transaction again"),
    (
        made.Other("CreateTableCommentOp"),
        "does Alembic's CreateTableCommentOp, which magetui does not check",
    ),
    (made.AddEnumValue("mood", None, "ok"), "adds value 'ok' to type mood"),
    (made.RenameEnumValue("mood", None, "ok", "fine"), "renames value 'ok' of type mood to 'fine'"),
    (made.RenameType("mood", None, "temper"), "renames type mood to temper"),
    (made.RenameIndex("i", None, "j"), "renames index i to j"),
    (made.Unclear(frozenset({"t"})), "runs SQL that magetui cannot read"),
    (
        made.UnclearCall(frozenset({"t"}), name="sync_enum_values"),
        "does sync_enum_values, which magetui cannot follow: it may change whatever it names",
    ),
    (made.UnclearTable(frozenset({"t"}), table="t"), "runs SQL on table t that magetui cannot read"),
]


@pytest.mark.parametrize(("operation", "sentence"), SENTENCES, ids=[sentence for _, sentence in SENTENCES])
def test_each_operation_is_one_sentence(operation: made.Operation, sentence: str) -> None:
    assert doing(operation) == sentence


def test_every_kind_of_operation_has_one() -> None:
    assert {type(operation) for operation, _ in SENTENCES} == set(kinds(made.Operation).values())


def test_sql_is_cut_and_escape_codes_are_shown_as_text() -> None:
    long = doing(made.ExecuteSql("SELECT " + "a, " * 100), 40)
    assert len(long) == 40
    assert long.endswith("…")
    assert doing(made.DropTable("a\x1b[31m\nb", None)) == "drops table a\\x1b[31m b"


def test_a_direction_says_when_it_does_nothing_and_why_it_may_do_more() -> None:
    assert doings(made.Recorded(())) == (NOTHING,)
    reading = "it reads the database: SELECT 1"
    assert doings(made.Recorded((), reading)) == (
        "what it does cannot be known in advance: it reads the database: SELECT 1",
    )
    assert doings(made.Recorded((made.DropTable("t", None),), reading)) == (
        "drops table t",
        "what else it does cannot be known in advance: it reads the database: SELECT 1",
    )
