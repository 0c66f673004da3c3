"""The schema before and after each revision of a chain, worked out from what the scripts do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, reduce
from operator import or_

from magetui.engine.evidence.lookahead import Lookahead
from magetui.engine.evidence.recording import Direction, Recording
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.table_state import TableState
from magetui.engine.revisions.graph import Chain
from magetui.engine.revisions.headers import Revision
from magetui.engine.revisions.syntax import tree_of
from magetui.engine.sql.ddl import TAKES_TABLES
from magetui.model.operations import Operation, Unclear

TAKING_TABLES = frozenset({"drop_table", "rename_table", "drop_all", "drop"})
MOST_TOGETHER = 500  # current revisions of several revisions; each is worked out by itself


class SchemaHistory:
    """`before` and `after` by revision; `tables` and `enums` are the names of all that any revision leads to.

    `made` is every state that a table is ever in, half-way through a revision too, with a model that has it.
    """

    def __init__(self, chain: Chain, recordings: Mapping[str, Recording], base: SchemaState) -> None:
        self._chain = chain
        self._recordings = recordings
        self.oldest_first = tuple(reversed(chain.revisions))
        self._places = {revision.revision: place for place, revision in enumerate(self.oldest_first)}
        self._foresight = Lookahead(
            (self._operations(revision) for revision in self.oldest_first),
            (self._operations(revision, "downgrade") for revision in self.oldest_first),
            base,
        )
        self.base = replace(base, tables={**base.tables, **self._foresight.before_all()})
        self.before: dict[str, SchemaState] = {}
        self.after: dict[str, SchemaState] = {}
        self.made: list[tuple[TableState, SchemaState]] = []
        for revision in self.oldest_first:
            before = self._standing_on({*revision.down_revisions, *revision.depends_on})
            self.before[revision.revision] = before
            self.after[revision.revision] = self.stepped(before, revision, "upgrade")
        led_to = {name for model in self.after.values() for name in model.changed if name in model.tables}
        self.tables = sorted({*self.base.tables, *led_to})
        self.enums = sorted({name for model in self.after.values() for name in model.enums})

    def at(self, current: Iterable[str]) -> SchemaState:
        """The schema at a current revision: that of one of its revisions, and what the others stand on besides, oldest first."""
        first, *others = current
        model = self.after[first]
        wanted = self.ancestors(others) - self.ancestors([first])
        for revision in self.oldest_first if wanted else ():
            if revision.revision in wanted:
                model = self.stepped(model, revision, "upgrade")
        return model

    def together(self) -> tuple[tuple[str, ...], ...]:
        """The current revisions of several revisions, none standing on another; the heads alone where they are too many."""
        below: list[int] = []  # what each stands on, as bits
        beside: list[int] = []  # what each neither stands on nor carries, of those before it
        for place, revision in enumerate(self.oldest_first):
            parents = [self._places[parent] for parent in (*revision.down_revisions, *revision.depends_on)]
            below.append(reduce(or_, (below[parent] | 1 << parent for parent in parents), 0))
            beside.append((1 << place) - 1 & ~below[place])
        found: list[tuple[int, ...]] = []
        waiting: list[tuple[tuple[int, ...], int]] = [
            ((place,), beside[place]) for place in range(len(below)) if beside[place]
        ]
        while waiting:
            current, free = waiting.pop()
            for place in range(free.bit_length()):
                if free >> place & 1:
                    found.append((*current, place))
                    waiting.append((found[-1], free & beside[place]))
            if len(found) > MOST_TOGETHER:
                return (self._chain.heads,) if len(self._chain.heads) > 1 else ()
        return tuple(tuple(self.oldest_first[place].revision for place in current) for current in sorted(found))

    def back(self, revision: str) -> SchemaState:
        """The schema that a revision's downgrade leads to from just after its upgrade."""
        return self.stepped(self.after[revision], self._chain.by_id[revision], "downgrade")

    def ancestors(self, current: Iterable[str]) -> set[str]:
        """The revisions of a current revision and all that they stand on."""
        found: set[str] = set()
        waiting = list(current)
        while waiting:
            revision = waiting.pop()
            if revision not in found:
                found.add(revision)
                one = self._chain.by_id[revision]
                waiting += [*one.down_revisions, *one.depends_on]
        return found

    def stepped(self, model: SchemaState, revision: Revision, direction: Direction) -> SchemaState:
        """After one step, `changed` by all of it. Where the script cannot be followed to its end, what it names is open
        afterwards.
        """
        changed: set[str] = set()
        for operation in self._operations(revision, direction):
            model = self._foresight.seeing(model.after(operation), self._places[revision.revision])
            changed |= model.changed
            self._remember(model)
        return replace(model, changed=frozenset(changed))

    def _operations(self, revision: Revision, direction: Direction = "upgrade") -> tuple[Operation, ...]:
        way = self._recordings[revision.revision].recorded(direction)
        if way.undecidable is None:
            return way.operations
        return (*way.operations, _unclear(revision.path.read_text(encoding="utf-8"), direction))

    def _remember(self, model: SchemaState) -> None:
        self.made += [(model.tables[name], model) for name in model.changed if name in model.tables]

    def _standing_on(self, parents: set[str]) -> SchemaState:
        if not parents:
            return self.base
        return self.after[next(iter(parents))] if len(parents) == 1 else self.at(sorted(parents))


@lru_cache(maxsize=1_024)
def _unclear(script: str, direction: Direction) -> Unclear:
    """What a script can have touched: what the names in its texts name. Without any there is no telling."""
    module = tree_of(script)
    other = "downgrade" if direction == "upgrade" else "upgrade"
    this_way = [part for part in module.body if not (isinstance(part, ast.FunctionDef) and part.name == other)]
    nodes = [node for part in this_way for node in ast.walk(part)]
    calls = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    takes_tables = bool(calls & TAKING_TABLES) or any(map(TAKES_TABLES.search, _texts(nodes)))
    words = (word for text in _texts(ast.walk(module)) for word in re.findall(r"\w+", text))
    return Unclear(frozenset(words), takes_tables)


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
