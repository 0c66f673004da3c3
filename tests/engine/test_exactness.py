"""Two schemas told apart to the letter, but for the name of the schema that they stand in."""

from __future__ import annotations

from magetui.engine.schema.exact import exact_facts, without_schemas
from magetui.engine.schema.facts import Fact
from magetui.model.schema import Column, Constraint, ForeignKey, Index, Table, TableDetail

SPELLED = without_schemas(("public", "Mage data", "magetui_scratch_1"))


def detail(schema: str, qualifier: str) -> TableDetail:
    """A table with everything that names its schema in some text."""
    return TableDetail(
        Table(schema, "t", None, None),
        (
            Column("id", "integer", False, f"nextval('{qualifier}.t_id_seq'::regclass)"),
            Column("mood", f"{qualifier}.mood", True, f"'sad'::{qualifier}.mood"),
        ),
        ("id",),
        (
            Index("by_mood", ("mood",), definition=f"CREATE INDEX by_mood ON {qualifier}.t USING hash (mood)"),
            Index("t_mood_key", ("mood",), unique=True),
        ),
        (ForeignKey("to_u", ("id",), schema, "u", ("id",), "CASCADE"),),
        (
            Constraint("t_mood_key", "unique", "UNIQUE (mood)", ("mood",)),
            Constraint("positive", "check", f"CHECK ({qualifier}.f(id)  > 0)"),
        ),
    )


def test_the_schemas_own_name_makes_no_difference() -> None:
    scratch = exact_facts([detail("magetui_scratch_1", "magetui_scratch_1")], "magetui_scratch_1", SPELLED)
    for schema, qualifier in (("public", "public"), ("Mage data", '"Mage data"')):
        assert exact_facts([detail(schema, qualifier)], schema, SPELLED) == scratch
    assert {
        Fact("default", "t", "id", "nextval('t_id_seq'::regclass)"),
        Fact("index", "t", "by_mood", "hash (mood)"),
        Fact("unique", "t", "", "mood"),
        Fact("name", "t", "unique (mood)", "t_mood_key"),
        Fact("check", "t", "positive", "CHECK (f(id) > 0)"),
        Fact("foreign-key", "t", "id", "u (id) on delete cascade"),
        Fact("name", "t", "foreign key (id)", "to_u"),
    } <= scratch["t"]


def test_another_schemas_name_stays() -> None:
    facts = exact_facts([detail("public", "extensions")], "public", SPELLED)["t"]
    assert Fact("type", "t", "mood", "extensions.mood") in facts
    assert SPELLED("republic.t and a.public.t") == "republic.t and a.public.t"


def test_an_index_is_told_with_what_makes_it_another() -> None:
    broken = Index("i", ("a", "b"), unique=True, valid=False)
    table = TableDetail(Table(None, "t", None, None), (), (), (broken,), (), ())
    assert Fact("index", "t", "i", "unique: a, b; invalid") in exact_facts([table], None, SPELLED)["t"]
