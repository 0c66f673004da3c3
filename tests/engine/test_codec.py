"""Values go through JSON and come back as they were; what does not fit is refused with the name of its field."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from magetui.engine.directories import package_root
from magetui.model.operations import AddColumn, CreateTable, Operation, Recorded, Unclear, UnclearTable
from magetui.model.plan import Plan, PlannedStep, Repair, RepairStep
from magetui.model.schema import Column, Index
from magetui.protocol import codec, events, requests
from magetui.protocol.codec import CodecError
from magetui.protocol.scripts import Scripts

COLUMN = Column("note", "TEXT", nullable=True)
SCRIPTS = Scripts("alembic", "/srv/m", ("/srv/m/versions",), arguments=(("tenant", "a"), ("tag", "b")))
REPAIR = Repair("rev2", "/srv/m/rev2.py", (RepairStep(AddColumn("t", None, COLUMN), "upgrade", 3, autocommit=True),))
PLAN = Plan(
    "finish", ("rev1",), "rev2", (PlannedStep("rev2", "finish", "Two"),), ("rev2",), (), "d", "u", repair=REPAIR
)


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Whole:
    part: Part
    parts: tuple[Part, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()
    by_name: Mapping[str, Part] = field(default_factory=dict)
    kind: Literal["a", "b"] = "a"
    perhaps: Part | None = None
    names: frozenset[str] = frozenset()
    anything: Any = None


@dataclass(frozen=True, slots=True)
class Left:
    TAG: ClassVar[str] = "side"
    side: ClassVar[str] = "left"
    number: int


@dataclass(frozen=True, slots=True)
class Right:
    TAG: ClassVar[str] = "side"
    side: ClassVar[str] = "right"
    number: int


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Whole, Whole(Part("x"))),
        (
            Whole,
            Whole(
                Part("x", 2), (Part("y"),), (("a", 1),), {"k": Part("z")}, "b", Part("p"), frozenset("ab"), [1, None]
            ),
        ),
        (Left | Right, Right(3)),
        (Left | Right | None, None),
        (tuple[int, ...], ()),
        (Operation, AddColumn("t", None, COLUMN)),
        (Operation, UnclearTable(frozenset({"t", "s"}), table="t", makes=True)),
        (Unclear, UnclearTable(frozenset({"t"}), table="t")),
        (Recorded, Recorded((CreateTable("t", "s", (COLUMN,), ("id",), (Index("i", ("a",), unique=True),)),), "why")),
        (requests.Asked, requests.Request(7, "sqlite://", SCRIPTS, PLAN, 11, operator="mage@db1")),
        (requests.Asked, requests.ProbeRequest(SCRIPTS)),
        (requests.Asked, requests.RenderRepairRequest(SCRIPTS, "sqlite", REPAIR, ("CREATE TABLE t (i)",))),
        (requests.Asked, requests.ReplayRequest(SCRIPTS, "sqlite://", ("rev1",), apart=True)),
        (events.Event, events.CancelRequested("2026-01-01T00:00:00Z")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_as_it_was(hint: Any, value: object) -> None:
    assert codec.decode(hint, json.loads(json.dumps(codec.encode(value)))) == value


@pytest.mark.parametrize(
    ("hint", "value", "said"),
    [
        (Part, {}, "Part: no value for name"),
        (Part, [], "expected Part, got list"),
        (Part, None, "expected Part, got NoneType"),
        (Part, {"name": 5}, "Part.name: expected str, got int"),
        (Part, {"name": "x", "count": None}, "Part.count: expected int, got NoneType"),
        (Whole, {"part": {"count": 1}}, "Whole.part: Part: no value for name"),
        (Whole, {"part": {"name": "x"}, "parts": {}}, "Whole.parts: expected list, got dict"),
        (Whole, {"part": {"name": "x"}, "pairs": [["a"]]}, "Whole.pairs: expected list of 2, got list"),
        (Whole, {"part": {"name": "x"}, "by_name": []}, "Whole.by_name: expected object, got list"),
        (Whole, {"part": {"name": "x"}, "kind": "c"}, "Whole.kind: expected 'a' | 'b', got str"),
        (Left | Right, {"side": "up", "number": 1}, "expected object with a known 'side', got dict"),
        (Left | Right, {"number": 1}, "expected object with a known 'side', got dict"),
        (Left | Right, {"side": "left"}, "Left: no value for number"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_name_of_its_field(hint: Any, value: object, said: str) -> None:
    with pytest.raises(CodecError) as refused:
        codec.decode(hint, value)
    assert str(refused.value) == said


def test_a_refusal_never_repeats_the_value() -> None:
    with pytest.raises(CodecError) as refused:
        codec.decode(
            requests.Asked, {"request": "probe", "scripts": "hunter2", "url": "postgresql://mage:hunter2@db1/x"}
        )
    assert "hunter2" not in str(refused.value)


def test_fields_that_are_not_known_are_ignored() -> None:
    assert codec.decode(Part, {"name": "x", "colour": {"a": 1}}) == Part("x")


@pytest.mark.parametrize("hint", [list[int], bytes, int | str, Part | Left, type])
def test_a_hint_that_the_codec_does_not_know_is_a_fault_of_the_program(hint: Any) -> None:
    with pytest.raises(TypeError):
        codec.decode(hint, {})


def test_each_class_of_a_family_has_a_tag_of_its_own() -> None:
    for family in (Operation, events.Event, requests.ChildRequest):
        classes = [kind for kind in vars(sys.modules[family.__module__]).values() if _is_of(kind, family)]
        assert set(codec.kinds(family).values()) == set(classes)


def _is_of(kind: object, family: type[Any]) -> bool:
    return isinstance(kind, type) and issubclass(kind, family) and bool(getattr(kind, family.TAG))


def test_the_codec_loads_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; sys.path.append(sys.argv[1]); import magetui.protocol.requests, magetui.protocol.events; "
        "known = sys.stdlib_module_names | {'magetui', '__main__'}; "
        "print([name for name in sys.modules if name.partition('.')[0] not in known])"
    )
    command = [sys.executable, "-I", "-S", "-c", program, package_root()]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
