"""The objects of a schema in a form that can be compared, and the changes between two moments.

A run compares the schema from before its first statement with the schema after its end. `TableDetail` would not do: it
describes a table for a person, and leaves out owners, other schemas, and what makes an index valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

ChangeKind = Literal["new", "gone", "changed"]
VALUE = "last value"  # an aspect of a sequence that any insert changes, and that no rollback sets back
DIGEST = "md5:"  # the start of an aspect that is too long to be shown, or only the digest of a text
TELLING = ("schema", "table", "view", "type", "column", "index", "constraint")  # the first kinds in a list of changes

Aspects = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """One object. `name` has the schema, and the table if it is a part of one; `aspects` is all that can change."""

    kind: str  # 'table', 'column', 'index', …
    name: str
    aspects: Aspects
    table: str | None = None  # the table that it is a part of


@dataclass(frozen=True, slots=True)
class AspectChange:
    """One aspect before and after. Both are None if the aspect is a long text, of which only a digest is known."""

    aspect: str
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """An object that is new, gone or changed. `invalid`: an index that is not valid now."""

    change: ChangeKind
    kind: str
    name: str
    aspects: tuple[AspectChange, ...] = ()
    table: str | None = None
    invalid: bool = False

    @property
    def is_sequence_value(self) -> bool:
        """Return True if only the last value of a sequence changed."""
        return bool(self.aspects) and all(aspect.aspect == VALUE for aspect in self.aspects)


def schema_changes(before: Sequence[SchemaObject], after: Sequence[SchemaObject]) -> tuple[SchemaChange, ...]:
    """Return the changes, the most telling kinds first. The parts of a table that is new or gone are left out."""
    old, new = ({(item.kind, item.name): item for item in items} for items in (before, after))
    changes = [
        *(_change("gone", item) for item in _complete(old, new)),
        *(_change("new", item) for item in _complete(new, old)),
        *(
            _change("changed", item, tuple(_aspect_changes(old[key].aspects, item.aspects)))
            for key, item in new.items()
            if key in old and old[key].aspects != item.aspects
        ),
    ]
    return tuple(sorted(changes, key=lambda change: (_rank(change.kind), change.kind, change.name)))


def _rank(kind: str) -> int:
    return TELLING.index(kind) if kind in TELLING else len(TELLING)


def _complete(
    items: Mapping[tuple[str, str], SchemaObject], others: Mapping[tuple[str, str], SchemaObject]
) -> Iterator[SchemaObject]:
    """Yield the items that `others` lacks, without the parts of a table that it lacks too, except invalid indexes."""
    for key, item in items.items():
        if key not in others and (item.table is None or ("table", item.table) in others or _is_invalid(item)):
            yield item


def _change(change: ChangeKind, item: SchemaObject, aspects: tuple[AspectChange, ...] = ()) -> SchemaChange:
    return SchemaChange(change, item.kind, item.name, aspects, item.table, change != "gone" and _is_invalid(item))


def _is_invalid(item: SchemaObject) -> bool:
    return item.aspects.get("state") == "invalid"


def _aspect_changes(before: Aspects, after: Aspects) -> Iterator[AspectChange]:
    for aspect in {**before, **after}:
        old, new = before.get(aspect, ""), after.get(aspect, "")
        if old != new:
            is_long = DIGEST in (old[: len(DIGEST)], new[: len(DIGEST)])
            yield AspectChange(aspect) if is_long else AspectChange(aspect, old, new)
