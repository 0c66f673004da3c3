"""The preflight of a plan: each operation in its order, against the schema as it will be then, and against the rows.

    answers = preflight(reading, recorded_steps(reading, plan))

Nothing is written, and nothing is locked more than a SELECT locks it. Queries on rows share one time limit. All causes
are found, not only the first: an operation that fails counts as done for those behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.preview.column_rules import read_type
from magetui.engine.preview.preflight.answers import Cause, Offenders, Preflight, StepAnswer
from magetui.engine.preview.preflight.moment import ALL_COLUMNS, Copy, Fails, Moment, NotKnown, Parsed, Problem, Rows
from magetui.engine.preview.preflight.postgresql_rules import PostgresRules
from magetui.engine.preview.preflight.postgresql_types import unsafe_use
from magetui.engine.preview.preflight.sqlite_rules import NAMELESS, NO_ALTER, SqliteRules, columns_of, moves
from magetui.engine.sql.ddl import Statement, statements_of
from magetui.model import operations as ops
from magetui.model.operations import Recorded

if TYPE_CHECKING:
    from magetui.engine.schema.snapshot import Reading
    from magetui.model.surroundings import Castable

BUDGET_MS = 3_000  # for all queries on rows together
QUERY_MS = 1_500  # for one
WIDTH = re.compile(r"\((\d+)\)")
VERSION_WIDTH = 32  # of the column that Alembic creates
# Errors by which PostgreSQL refuses an expression whatever it resolves names to: syntax, column, type, value.
REFUSED = frozenset({"42601", "42703", "42804", "22P02", "22003", "22007", "22008"})
# Errors of Alembic itself, before anything reaches the server.
RAISED = {
    "No support for ALTER of constraints": Cause(
        "fails", None, "SQLite changes no constraint without batch_alter_table", NO_ALTER
    ),
    NAMELESS: Cause("fails", None, "the constraint has no name", NAMELESS),
}
CHANGES = re.compile(r"\s*(?:create|alter|drop)\b", re.IGNORECASE)  # a query that only names a view leaves it there
ACTIONS = (ops.AddColumn, ops.DropColumn, ops.AlterColumn, ops.DropConstraint, ops.RenameConstraint)

Steps = Iterable[tuple[str, str, Recorded]]


def preflight(reading: Reading, steps: Steps, budget_ms: int = BUDGET_MS) -> Preflight | None:
    """Return the answers; None if there are no rules for the kind of database. Raises as the reading does."""
    if reading.workspace.backend.name not in ("postgresql", "sqlite"):
        return None
    walk = _Walk(reading, monotonic() + budget_ms / 1000)
    return Preflight(tuple(walk.step(*step) for step in steps))


class _Walk:
    """Follows the operations, and asks the database what the rules want to know."""

    def __init__(self, reading: Reading, deadline: float) -> None:
        snapshot, self._dialect = reading.snapshot, reading.workspace.backend.name
        self._reading, self._deadline = reading, deadline
        schema = None if self._dialect == "sqlite" else snapshot.server.schema
        state = SchemaState.read(self._dialect, schema, snapshot.details, snapshot.enum_types)
        major = int(snapshot.server.version.partition(".")[0])
        around = reading.surroundings
        enums = {(enum.schema, enum.name) for enum in snapshot.enum_types}
        self._moment = Moment(state, replace(around, types=around.types - enums), major, state.enums)
        self._casts: dict[tuple[str, str], Castable | None] = {}
        self._unread: str | None = None  # the step that may have done anything
        self._left = 0  # the operations that are still done in the copy of a batch operation
        self._width = self._version_width()

    def step(self, revision: str, direction: str, recorded: Recorded) -> StepAnswer:
        causes: list[Cause] = []
        if self._reading.workspace.commits_each:  # then what an earlier revision added to an enum type may be used
            self._moment = replace(self._moment, added_values=frozenset())
        if self._unread is not None:
            causes.append(Cause("unknown", None, f"what {self._unread} leaves behind"))
        else:
            causes += self._width_causes(revision, direction)
            causes += self._event_triggers(recorded)
            for index, operation in enumerate(recorded.operations, start=1):
                causes += self._operation(operation, recorded.operations[index:])
        if recorded.undecidable is not None:
            raised = next((cause for error, cause in RAISED.items() if error in recorded.undecidable), None)
            causes.append(raised or Cause("unknown", None, f"what it does: {recorded.undecidable}"))
            self._unread = self._unread or revision
        return StepAnswer(revision, direction, tuple(dict.fromkeys(causes)))

    # -- causes of a step

    def _version_width(self) -> int | None:
        """Return the width of the version table's column; None if it has no limit."""
        if self._dialect != "postgresql":
            return None
        table = self._reading.overview.version_table
        for detail in self._reading.snapshot.details if table is not None else ():
            if table is not None and (detail.table.schema, detail.table.name) == (table.schema, table.name):
                width = WIDTH.search(detail.columns[0].type) if detail.columns else None
                return int(width[1]) if width else None
        return VERSION_WIDTH

    def _width_causes(self, revision: str, direction: str) -> Iterator[Cause]:
        if direction == "upgrade" and self._width is not None and len(revision) > self._width:
            table = self._reading.overview.version_table
            name = table.name if table is not None else "alembic_version"
            wide = f"ALTER TABLE {name} ALTER COLUMN version_num TYPE varchar({len(revision)})"
            sentence = f"its id has {len(revision)} characters, and {name}.version_num holds {self._width}: {wide}"
            yield Cause("fails", None, sentence, f"value too long for type character varying({self._width})")

    def _event_triggers(self, recorded: Recorded) -> Iterator[Cause]:
        if self._moment.around.event_triggers and recorded.operations:
            names = ", ".join(self._moment.around.event_triggers)
            yield Cause("unknown", None, f"whether the event trigger {names} refuses it")

    # -- causes of an operation

    def _operation(self, operation: ops.Operation, behind: Sequence[ops.Operation]) -> Iterator[Cause]:
        if isinstance(operation, ops.ExecuteSql):
            statements = statements_of(operation.sql, self._dialect)
            for statement in statements:
                yield from self._statement(operation, statement)
            return
        before = self._moment
        yield from self._causes(operation, operation)
        self._done(operation)
        copy = before.copy
        if isinstance(operation, ops.RebuildTable):
            self._left = operation.covers
            copy = _copy(before.state.name_of(operation), behind[: operation.covers])
        elif copy is not None:
            self._left -= 1
            table = before.state.tables.get(copy.table)
            named = frozenset() if table is None else columns_of(operation, table)
            moved = named if moves(operation) else frozenset()
            copy = replace(copy, named=copy.named | named, moved=copy.moved | moved)
        self._moment = replace(self._moment, copy=copy if self._left > 0 else None)

    def _statement(self, shown: ops.ExecuteSql, statement: Statement) -> Iterator[Cause]:
        text = statement.text
        for problem in unsafe_use(text, self._moment):
            yield from self._cause(shown, problem)
        if not statement.locks and not statement.schema:
            yield Cause("unknown", shown, "what this SQL does")
        actions = [part for part in statement.locks if isinstance(part, ACTIONS)]
        if self._dialect == "sqlite" and len(actions) > 1:
            yield Cause("fails", shown, "SQLite does one thing in an ALTER TABLE", 'near ",": syntax error')
        added = next((part.column.name for part in actions if isinstance(part, ops.AddColumn)), None)
        self._moment = replace(self._moment, adding=added)
        for part in statement.locks:
            yield from self._causes(part, shown)
            self._done(part)
        self._moment = replace(self._moment, adding=None)
        unclear = [part for part in statement.schema if isinstance(part, ops.Unclear)]
        if unclear or (not statement.schema and CHANGES.match(text)):
            words = frozenset(word.lower() for word in re.findall(r"[^\W\d]\w*", text))
            self._moment = replace(self._moment, unread_words=self._moment.unread_words | words)
        for part in unclear:
            self._moment = replace(self._moment, state=self._moment.state.after(part))
        self._rows_changed(statement)

    def _causes(self, operation: ops.Operation, shown: ops.Operation) -> Iterator[Cause]:
        for problem in self._rules(operation).problems(operation):
            yield from self._cause(shown, problem)

    def _rules(self, operation: ops.Operation) -> PostgresRules | SqliteRules:
        if self._dialect == "sqlite":
            return SqliteRules(self._moment)
        if isinstance(operation, ops.AlterColumn) and operation.type is not None:
            table = self._moment.state.tables.get(self._moment.state.name_of(operation))
            old = table.column_type(operation.column) if table is not None else None
            if old is not None:
                pair = read_type(old)[0], read_type(operation.type)[0]
                if pair not in self._casts:
                    self._casts[pair] = self._reading.castable(*pair)
        return PostgresRules(self._moment, self._casts)

    def _cause(self, operation: ops.Operation, problem: Problem) -> Iterator[Cause]:
        match problem:
            case Fails():
                yield Cause("fails", operation, problem.sentence, problem.says)
            case NotKnown():
                yield Cause("unknown", operation, problem.sentence)
            case Rows():
                yield from self._looked(operation, problem)
            case Parsed():
                yield from self._parsed(operation, problem)

    def _looked(self, operation: ops.Operation, problem: Rows) -> Iterator[Cause]:
        query, found = f"{problem.query};", self._reading.find(problem.query, self._left_ms())
        if found.problem is not None:
            yield Cause("unknown", operation, f"whether a row stops it: {found.problem}", None, query)
        elif found.count:
            offenders = Offenders(found.count, found.columns, found.rows)
            yield Cause("fails", operation, problem.sentence, problem.says, query, offenders)

    def _parsed(self, operation: ops.Operation, problem: Parsed) -> Iterator[Cause]:
        found = self._reading.find(problem.query, self._left_ms())
        if found.problem is None:
            return
        if found.code in REFUSED or (self._dialect == "sqlite" and "no such column" in found.problem):
            yield Cause("fails", operation, "the server does not understand an expression of it", found.problem)
        else:
            yield Cause("unknown", operation, f"whether the server understands it: {found.problem}")

    def _left_ms(self) -> int:
        return max(0, min(QUERY_MS, int((self._deadline - monotonic()) * 1000)))

    # -- what an operation leaves behind

    def _done(self, operation: ops.Operation) -> None:
        """Go to the moment after the operation."""
        before = self._moment
        name = before.state.name_of(operation)
        changed = dict(before.changed)
        added, in_block = before.added_values, before.in_block
        match operation:
            case ops.Autocommit():
                added, in_block = frozenset(), operation.begins
            case ops.AddEnumValue() if not in_block:
                added |= {(before.state.type_of(operation), operation.value)}
            case ops.InsertRows() | ops.TruncateTable():
                changed[name] = changed.get(name, frozenset()) | {ALL_COLUMNS}
            case ops.RenameTable():
                new = before.state.name(operation.schema, operation.new_name)
                changed[new] = changed.pop(name, frozenset())
            case ops.CreateTable() if name not in before.state.tables:
                changed.pop(name, None)
            case ops.AlterColumn(type=str()):
                changed[name] = changed.get(name, frozenset()) | {operation.new_name or operation.column}
            case ops.AlterColumn(new_name=str(new)) if operation.column in changed.get(name, ()):
                changed[name] = changed[name] | {new}
        state = before.state
        if isinstance(operation, ops.CreateTable) and not operation.if_not_exists and name in state.tables:
            state = replace(state, tables={key: table for key, table in state.tables.items() if key != name})
        state = state.as_far_as_read(operation)
        self._moment = replace(before, state=state, changed=changed, added_values=added, in_block=in_block)

    def _rows_changed(self, statement: Statement) -> None:
        """Note which values a statement changes. SQL that cannot be read may change any."""
        if not any(isinstance(part, ops.RunQuery) for part in statement.locks):
            return
        from magetui.engine.preview import query_locks  # loads sqlglot: only for plans with such SQL

        state, changed = self._moment.state, dict(self._moment.changed)
        try:
            for table, columns in query_locks.written(query_locks.parsed(statement.text, self._dialect), state):
                name = state.name(*table)
                changed[name] = changed.get(name, frozenset()) | (columns or {ALL_COLUMNS})
        except Exception:  # noqa: BLE001 - whatever the parser raises of odd input
            changed |= {name: frozenset({ALL_COLUMNS}) for name in state.tables}
        self._moment = replace(self._moment, changed=changed)


def _copy(table: str, covered: Sequence[ops.Operation]) -> Copy:
    """Return the copy that a batch of these operations makes."""
    names = [part.name for part in covered if isinstance(part, ops.AddConstraint) and part.name is not None]
    return Copy(
        table,
        added=frozenset(part.column.name for part in covered if isinstance(part, ops.AddColumn)),
        twice=frozenset(name for name in names if names.count(name) > 1),
    )
