"""What a revision or a replay expects, and what the live schema has: one line for each part, in columns.

Sentences say what differs. These lines show it side by side, in the order of the script or by table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from magetui.engine.evidence.summary import AS_VERBS, NULL_STATES, pair_differences
from magetui.engine.evidence.verdict import Evidence, OperationEvidence, RevisionEvidence
from magetui.engine.schema.facts import Difference, Fact, without_parts
from magetui.model import operations as ops
from magetui.model.schema import BATCH_PREFIX
from magetui.text import formats, operations

ComparedState = Literal["equal", "missing", "extra", "different", "hidden"]

EXISTS, MISSING, REMAINS = "exists", "missing", "still exists"
LEFTOVER = "exists: a leftover"
HIDDEN, SUPERSEDED = "not visible in a schema", "changed again later"
AS_TEXT = (ops.ExecuteSql, ops.InsertRows)  # what they did is not shown in the words of the script
PARTS_NAMED = 3
NAMES: Mapping[str, str] = {
    "table": "the table",
    "enum": "the type",
    "primary-key": "primary key",
    "unique": "unique",
    "foreign-key": "foreign key ({name})",
    "enum-value": "value",
    "enum-order": "order of values",
    "name": "name of {name}",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One part of a schema: its name, what is expected of it, and what the live schema has. `group` is its table."""

    state: ComparedState
    name: str
    expected: str
    live: str
    group: str = ""

    def shown(self, clean: Callable[[str], str]) -> Compared:
        """Return the part with texts that are safe to show; `clean` removes credentials."""
        name, expected, live, group = (
            formats.one_line(clean(text)) for text in (self.name, self.expected, self.live, self.group)
        )
        return replace(self, name=name, expected=expected, live=live, group=group)


def count_states(compared: Iterable[Compared]) -> str:
    """Return '1 missing, 2 extra' for the parts that differ."""
    states = [part.state for part in compared]
    counts = [f"{states.count(state)} {state}" for state in ("missing", "extra", "different") if state in states]
    return ", ".join(counts)


# -- the operations of a revision


def compare_operations(evidence: RevisionEvidence, schema: Evidence) -> tuple[Compared, ...]:
    """Return each operation of a revision against the live schema, then the copies of its tables.

    What exists of a revision that is not applied is a leftover. Of some tables only the copy of a batch operation
    exists, and some indexes are invalid.
    """
    is_applied = evidence.state != "missing"
    lines = [_compare_operation(operation, is_applied=is_applied) for operation in evidence.operations]
    lines = [_as_it_is(line, operation, schema) for line, operation in zip(lines, evidence.operations, strict=True)]
    tables = {
        operation.operation.table for operation in evidence.operations if isinstance(operation.operation, ops.OnTable)
    }
    copies = (name for name in schema.strangers if name.startswith(BATCH_PREFIX))
    left = [name for name in copies if name.removeprefix(BATCH_PREFIX) in tables]
    lines += [Compared("extra", f"table {name}", "", LEFTOVER) for name in left]
    return tuple(lines)


def _as_it_is(line: Compared, evidence: OperationEvidence, schema: Evidence) -> Compared:
    """Return the line; it says so if what exists is the table's copy, or an index that is invalid."""
    operation = evidence.operation
    if isinstance(operation, ops.OnTable) and operation.table in schema.copies and line.state == "equal":
        return replace(line, state="different", live=f"only in the copy {BATCH_PREFIX}{operation.table}")
    invalid = {fact.name for fact in evidence.lacking if fact.kind == "index"} & schema.invalid
    if invalid and line.state == "missing":
        return replace(line, state="different", live=f"{', '.join(sorted(invalid))} is invalid")
    return line


def _compare_operation(evidence: OperationEvidence, *, is_applied: bool) -> Compared:
    name, expected = operations.subject(evidence.operation)
    match evidence.state:
        case "done" if is_applied:
            return Compared("equal", name, expected, "done" if isinstance(evidence.operation, AS_TEXT) else expected)
        case "done":
            return Compared("extra", name, expected, expected if expected == operations.DROPPED else LEFTOVER)
        case "missing":
            return Compared("missing", name, expected, _live(evidence) or _undone(evidence.operation))
        case "different":
            return Compared("different", name, expected, _live(evidence) or "only a part of it")
        case "superseded":
            return Compared("hidden", name, expected, SUPERSEDED)
        case "hidden":
            return Compared("hidden", name, expected, HIDDEN)


def _undone(operation: ops.Operation) -> str:
    """Return what the schema shows of an operation that is not done."""
    if isinstance(operation, ops.DropTable | ops.DropColumn | ops.DropIndex | ops.DropConstraint | ops.DropType):
        return REMAINS
    if isinstance(operation, ops.RenameTable | ops.RenameIndex | ops.RenameType | ops.RenameEnumValue):
        return "not renamed"
    return MISSING


def _live(evidence: OperationEvidence) -> str:
    """Return the live values at the places that the operation sets, or else the parts that it has not made."""
    if evidence.live:
        return ", ".join(_value(fact) for fact in evidence.live)
    if evidence.state == "missing":
        return ""
    lacking = [f"{fact}{AS_VERBS['missing']}" for fact in without_parts(evidence.lacking)]
    return formats.some(sorted(lacking), PARTS_NAMED)


# -- the differences of a verification


def compare_differences(differences: Iterable[Difference]) -> tuple[Compared, ...]:
    """Return the differences as lines, by table, the most telling first."""
    differences = list(differences)
    lines = [_compare_facts(expected, live, differences) for expected, live in pair_differences(differences)]
    return tuple(sorted(lines, key=lambda line: line.group))  # stable: the most telling of a table stays first


def _compare_facts(expected: Fact | None, live: Fact | None, differences: Iterable[Difference]) -> Compared:
    if expected is not None and live is not None:
        return Compared("different", _named(expected), _value(expected), _value(live), _group(expected))
    if expected is not None:
        return Compared("missing", _named(expected), _described(expected, differences), MISSING, _group(expected))
    assert live is not None
    return Compared("extra", _named(live), "", _described(live, differences), _group(live))


def _group(fact: Fact) -> str:
    return f"type {fact.table}" if fact.kind.startswith("enum") else fact.table


def _named(fact: Fact) -> str:
    """Return the name of a part within its table."""
    if fact.kind in ("column", "type", "null", "default"):
        return fact.name
    return NAMES.get(fact.kind, "{kind} {name}").format(kind=fact.kind, name=fact.name)


def _value(fact: Fact) -> str:
    """Return the state of a part."""
    match fact.kind:
        case "null":
            return NULL_STATES[fact.value]
        case "default":
            return f"default {fact.value}" if fact.value else "no default"
        case _:
            return fact.value or EXISTS


def _described(fact: Fact, differences: Iterable[Difference]) -> str:
    """Return the state of a part that only one side has; for a column its type and whether it may be null."""
    if fact.kind != "column":
        return _value(fact)
    own = {other.kind: other for other, _ in differences if (other.table, other.name) == (fact.table, fact.name)}
    kinds = [kind for kind in ("type", "null", "default") if kind in own and (kind != "default" or own[kind].value)]
    return ", ".join(own[kind].value if kind == "null" else _value(own[kind]) for kind in kinds) or EXISTS
