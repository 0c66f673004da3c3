"""The schema state before and after each revision of a chain, worked out from the recorded operations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING

from magetui.engine.evidence.lookahead import Lookahead
from magetui.engine.revisions.syntax import tree_of
from magetui.engine.sql.ddl import TAKES_TABLES
from magetui.model.operations import CreateTable, Operation, Recorded, Recording, Unclear

if TYPE_CHECKING:
    from magetui.engine.evidence.recording import Direction
    from magetui.engine.evidence.schema_state import SchemaState
    from magetui.engine.evidence.table_state import TableState
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.revisions.headers import Revision

TAKING_TABLES = frozenset({"drop_table", "rename_table", "drop_all", "drop"})
MOST_TOGETHER = 500  # combinations of revisions; the state of each is worked out separately


class SchemaHistory:
    """The states `before` and `after` each revision. `tables` and `enums` are the names that occur in any state.

    `made` has every state of every table, also between two operations of a revision.
    """

    def __init__(self, chain: Chain, recordings: Mapping[str, Recording], base: SchemaState) -> None:
        self._chain = chain
        self._recordings = recordings
        self.oldest_first = tuple(reversed(chain.revisions))
        self._index = {revision.revision: index for index, revision in enumerate(self.oldest_first)}
        self._lookahead = Lookahead(
            (self.operations(revision) for revision in self.oldest_first),
            (self.operations(revision, "downgrade") for revision in self.oldest_first),
            base,
        )
        self.base = replace(base, tables={**base.tables, **self._lookahead.before_all()})
        self.before: dict[str, SchemaState] = {}
        self.after: dict[str, SchemaState] = {}
        self.made: list[TableState] = []
        for revision in self.oldest_first:
            parents = sorted({*revision.down_revisions, *revision.depends_on})
            before = self.at(parents) if parents else self.base
            self.before[revision.revision] = before
            self.after[revision.revision] = self.stepped(before, revision, "upgrade")
        changed = {name for state in self.after.values() for name in state.changed if name in state.tables}
        self.tables = sorted({*self.base.tables, *changed})
        self.enums = sorted({name for state in self.after.values() for name in state.enums})

    def at(self, current: Iterable[str]) -> SchemaState:
        """Return the schema state at the revisions of `current`: that of the first, completed with the others."""
        first, *others = current
        state = self.after[first]
        wanted = self.ancestors(others) - self.ancestors([first]) if others else ()
        for revision in self.oldest_first if wanted else ():
            if revision.revision in wanted:
                state = self.stepped(state, revision, "upgrade")
        return state

    def together(self) -> tuple[tuple[str, ...], ...]:
        """Return the combinations of independent revisions; only all heads if there are more than `MOST_TOGETHER`."""
        below: list[int] = []  # the ancestors of each revision, as bits
        beside: list[int] = []  # the older revisions that are not its ancestors, as bits
        for index, revision in enumerate(self.oldest_first):
            parents = [self._index[parent] for parent in (*revision.down_revisions, *revision.depends_on)]
            below.append(reduce(or_, (below[parent] | 1 << parent for parent in parents), 0))
            beside.append((1 << index) - 1 & ~below[index])
        found: list[tuple[int, ...]] = []
        waiting: list[tuple[tuple[int, ...], int]] = [
            ((index,), beside[index]) for index in range(len(below)) if beside[index]
        ]
        while waiting:
            current, free = waiting.pop()
            for index in range(free.bit_length()):
                if free >> index & 1:
                    found.append((*current, index))
                    waiting.append((found[-1], free & beside[index]))
            if len(found) > MOST_TOGETHER:
                return (self._chain.heads,) if len(self._chain.heads) > 1 else ()
        return tuple(tuple(self.oldest_first[index].revision for index in current) for current in sorted(found))

    def back(self, revision: str) -> SchemaState:
        return self.stepped(self.after[revision], self._chain.by_id[revision], "downgrade")

    def ancestors(self, current: Iterable[str]) -> set[str]:
        """Return the revisions of a current revision and all their ancestors."""
        found: set[str] = set()
        waiting = list(current)
        while waiting:
            revision = waiting.pop()
            if revision not in found:
                found.add(revision)
                header = self._chain.by_id[revision]
                waiting += [*header.down_revisions, *header.depends_on]
        return found

    def stepped(self, state: SchemaState, revision: Revision, direction: Direction) -> SchemaState:
        """Return the state after one step, with all tables that it `changed`. An unread script leaves tables open."""
        changed: set[str] = set()
        for operation in self.operations(revision, direction):
            state = self._lookahead.seeing(state.after(operation), self._index[revision.revision])
            changed |= state.changed
            self.made += [state.tables[name] for name in state.changed if name in state.tables]
        return replace(state, changed=frozenset(changed))

    def operations(self, revision: Revision, direction: Direction = "upgrade") -> tuple[Operation, ...]:
        """Return the operations of a revision: see `operations_of`."""
        return operations_of(revision, self._recordings[revision.revision].recorded(direction), direction)


def operations_of(revision: Revision, recorded: Recorded, direction: Direction) -> tuple[Operation, ...]:
    """Return the recorded operations. The last one is `Unclear` if the script cannot be followed to its end."""
    if recorded.undecidable is None:
        return recorded.operations
    unclear = _unclear(revision.path.read_text(encoding="utf-8"), direction)
    if unclear.takes_tables:  # also tables that it has just made, under a name that it puts together
        made = {o.table for o in recorded.operations if isinstance(o, CreateTable)}
        unclear = replace(unclear, words=unclear.words | made)
    return (*recorded.operations, unclear)


def words_of(revision: Revision, direction: Direction) -> frozenset[str]:
    """Return the words in the strings of a script: the names of tables that it may change are among them."""
    return _unclear(revision.path.read_text(encoding="utf-8"), direction).words


@lru_cache(maxsize=1_024)
def _unclear(script: str, direction: Direction) -> Unclear:
    """Return the tables that a script may have changed: those that its strings name. Without names it may be any."""
    module = tree_of(script)
    other = "downgrade" if direction == "upgrade" else "upgrade"
    parts = [part for part in module.body if not (isinstance(part, ast.FunctionDef) and part.name == other)]
    nodes = [node for part in parts for node in ast.walk(part)]
    calls = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    takes_tables = bool(calls & TAKING_TABLES) or any(map(TAKES_TABLES.search, _texts(nodes)))
    words = (word for text in _texts(ast.walk(module)) for word in re.findall(r"\w+", text))
    return Unclear(frozenset(words), takes_tables)


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
