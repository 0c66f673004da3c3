"""Problems that depend on rows: nulls, duplicates, orphans, values that a check or a type refuses.

Each rule returns the query that finds the offending rows, with the names that the tables have now. If the plan changes
the values first, nobody knows what they will be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from magetui.engine.preview.column_rules import INTEGERS, read_type
from magetui.engine.preview.preflight.answers import ROWS, VALUES
from magetui.engine.preview.preflight.moment import Moment, NotKnown, Problem, Rows
from magetui.engine.schema.defaults import bare
from magetui.engine.sql.tables import SERIAL

if TYPE_CHECKING:
    from magetui.engine.evidence.table_state import TableState
    from magetui.model.schema import Column, ForeignKey

LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


class RowRules:
    """The rules for the rows of one table at a moment."""

    def __init__(self, moment: Moment, table: TableState) -> None:
        self._moment = moment
        self._table = table

    def nulls(self, columns: Sequence[str], why: str) -> Iterator[Problem]:
        """`why` ends the sentence: 'which becomes NOT NULL'."""
        for column in columns:
            yield from self._nulls(column, why)

    def _nulls(self, column: str, why: str) -> Iterator[Problem]:
        table = self._table
        if table.is_not_null(column) or self._moment.has_rows(table) is False:
            return
        says = f'column "{column}" of relation "{table.path[1]}" contains null values'
        if self._moment.are_changed(table, (column,)):
            yield self._changed_first(column)
        elif self._is_live((column,)):
            name = self._moment.quoted(table.live_columns[column])
            yield self._rows(
                f"{table.name}.{column}, {why}, has no value in {ROWS}", f"{name} IS NULL", (column,), says
            )
        elif table.live is not None and column in table.columns and _constant(table.columns[column]) is None:
            yield Rows(f"{table.name}.{column}, {why}, has no value in {ROWS}", self.everything(), says)
        elif table.live is None or column not in table.columns:
            yield NotKnown(f"which rows {table.name} has then")

    def duplicates(self, columns: Sequence[str], name: str | None, condition: str | None = None) -> Iterator[Problem]:
        table, moment = self._table, self._moment
        if moment.has_rows(table) is False:
            return
        if moment.are_changed(table, columns):
            yield self._changed_first(*columns)
        elif self._is_live(columns) and (condition is None or table.live_columns.keys() == set(table.columns)):
            live = [self._moment.quoted(table.live_columns[column]) for column in columns]
            wanted = " AND ".join([f"{column} IS NOT NULL" for column in live] + [f"({c})" for c in [condition] if c])
            listed = ", ".join(live)
            query = (
                f"SELECT {listed}, count(*) AS rows FROM {self._from()} WHERE {wanted} GROUP BY {listed} "
                "HAVING count(*) > 1"
            )
            yield Rows(
                f"{table.name} ({', '.join(columns)}) has {VALUES} more than once",
                query,
                f'could not create unique index "{name}"' if moment.is_postgresql else "UNIQUE constraint failed",
            )
        elif any(self._is_new(column) and _constant(table.columns[column]) is None for column in columns):
            return  # a new column without a value: nulls are all different
        else:
            yield NotKnown(f"which values {table.name} ({', '.join(columns)}) has then")

    def orphans(self, key: ForeignKey, parent: TableState | None, referred: Sequence[str]) -> Iterator[Problem]:
        table, moment = self._table, self._moment
        if moment.has_rows(table) is False:
            return
        if parent is None:
            yield NotKnown(f"which rows {key.referred_table} has then")
            return
        if moment.are_changed(table, key.columns) or moment.are_changed(parent, referred):
            yield self._changed_first(*key.columns)
            return
        if not self._is_live(key.columns):
            if not any(self._is_new(column) and _constant(table.columns[column]) is None for column in key.columns):
                yield NotKnown(f"which values {table.name} ({', '.join(key.columns)}) has then")
            return
        live = [self._moment.quoted(table.live_columns[column]) for column in key.columns]
        condition = " AND ".join(f"c.{column} IS NOT NULL" for column in live)
        if parent.live is not None and set(referred) <= parent.live_columns.keys():
            pairs = zip((self._moment.quoted(parent.live_columns[column]) for column in referred), live, strict=True)
            matching = " AND ".join(f"p.{theirs} = c.{ours}" for theirs, ours in pairs)
            found = f"SELECT 1 FROM {moment.stored(moment.live_path(parent))} p WHERE {matching}"
            condition = f"{condition} AND NOT EXISTS ({found})"
        elif moment.has_rows(parent) is not False:
            yield NotKnown(f"which rows {parent.name} has then")
            return
        listed = ", ".join(f"c.{name}" for name in dict.fromkeys([*self._key(), *live]))
        yield Rows(
            f"{ROWS} of {table.name} refer by {', '.join(key.columns)} to no row of {parent.name}",
            f"SELECT {listed} FROM {self._from()} c WHERE {condition}",
            f'insert or update on table "{table.path[1]}" violates foreign key constraint "{key.name}"',
        )

    def refused(self, name: str | None, condition: str, columns: Sequence[str]) -> Iterator[Problem]:
        """Rows that a check refuses. `columns` are those that its condition names."""
        table = self._table
        if self._moment.has_rows(table) is False:
            return
        if self._moment.are_changed(table, columns):
            yield self._changed_first(*columns)
        elif self._is_live(columns) and all(table.live_columns[column] == column for column in columns):
            says = f'check constraint "{name}" of relation "{table.path[1]}" is violated by some row'
            text = f"{ROWS} of {table.name} violate the check {name or condition}"
            yield self._rows(text, f"NOT ({condition})", columns, says)
        else:
            yield NotKnown(f"which values {table.name} has then")

    def converted(self, column: str, old: str, new: str) -> Iterator[Problem]:
        """Values that a new type refuses, if an assignment turns the old type into the new one."""
        table = self._table
        (was, had), (will, has) = read_type(old), read_type(new)
        if self._moment.has_rows(table) is False or (was, had) == (will, has):
            return
        if self._moment.are_changed(table, (column,)):
            yield self._changed_first(column)
            return
        if not self._is_live((column,)):
            yield NotKnown(f"which values {table.name}.{column} has then")
            return
        name = self._moment.quoted(table.live_columns[column])
        if will in ("character varying", "character") and (has or will == "character"):
            length = has[0] if has else 1
            if not (was == will and had and had[0] <= length):
                text = f"rtrim(format('%s', {name}), ' ')" if was not in TEXT_TYPES else f"rtrim({name}, ' ')"
                yield self._rows(
                    f"{table.name}.{column} is too long for {new} in {ROWS}",
                    f"char_length({text}) > {length}",
                    (column,),
                    f"value too long for type {will}({length})",
                )
        elif will in INTEGERS and (was in INTEGERS or was in ("numeric", "real", "double precision")):
            most = LIMITS[will]
            if was not in INTEGERS or LIMITS[was] > most:
                rounded = name if was in INTEGERS else f"round({name}::numeric)"
                yield self._rows(
                    f"{table.name}.{column} is out of range for {new} in {ROWS}",
                    f"{rounded} NOT BETWEEN -{most} AND {most - 1}",
                    (column,),
                    f"{will} out of range",
                )
        elif will == "numeric" and has and was in (*INTEGERS, "numeric"):
            scale = has[1] if len(has) > 1 else 0
            yield self._rows(
                f"{table.name}.{column} is too large for {new} in {ROWS}",
                f"abs(round({name}::numeric, {scale})) >= 1e{has[0] - scale}::numeric",
                (column,),
                "numeric field overflow",
            )
        elif will not in ("text", "character varying") and (was, will) not in HARMLESS:
            yield NotKnown(f"whether each value of {table.name}.{column} fits into {new}")

    def parsed(self, column: str, new: str) -> Iterator[Problem]:
        """Texts that are no value of the new type (PostgreSQL 16 or later)."""
        table = self._table
        if self._moment.has_rows(table) is False:
            return
        if self._moment.are_changed(table, (column,)) or not self._is_live((column,)) or self._moment.server < 16:
            yield NotKnown(f"whether each value of {table.name}.{column} is a {new}")
            return
        name = self._moment.quoted(table.live_columns[column])
        kind = new.replace("'", "''")
        yield self._rows(
            f"{table.name}.{column} is no {new} in {ROWS}",
            f"{name} IS NOT NULL AND NOT pg_input_is_valid({name}, '{kind}')",
            (column,),
            f"invalid input syntax for type {new}",
        )

    # -- the parts of a query

    def everything(self) -> str:
        """Return the query for all rows: their keys, if they have any."""
        return f"SELECT {', '.join(self._key()) or '*'} FROM {self._from()}"

    def _from(self) -> str:
        return self._moment.stored(self._moment.live_path(self._table))

    def _key(self) -> list[str]:
        table = self._table
        return [
            self._moment.quoted(table.live_columns[name]) for name in table.primary_key if name in table.live_columns
        ]

    def _rows(self, sentence: str, condition: str, columns: Sequence[str], says: str) -> Rows:
        live = [self._moment.quoted(self._table.live_columns[column]) for column in columns]
        listed = ", ".join(dict.fromkeys([*self._key(), *live])) or "*"
        return Rows(sentence, f"SELECT {listed} FROM {self._from()} WHERE {condition}", says)

    def _is_live(self, columns: Sequence[str]) -> bool:
        return self._table.live is not None and all(column in self._table.live_columns for column in columns)

    def _is_new(self, column: str) -> bool:
        """Return whether the plan itself has added the column to a live table."""
        table = self._table
        return table.live is not None and column in table.columns and column not in table.live_columns

    def _changed_first(self, *columns: str) -> NotKnown:
        return NotKnown(
            f"which values {self._table.name} ({', '.join(columns)}) has then: the plan changes them before"
        )


TEXT_TYPES = frozenset({"text", "character varying", "character", "name"})
# Changes that no value stops.
HARMLESS = frozenset(
    [
        *((was, "double precision") for was in (*INTEGERS, "real")),
        *((was, "numeric") for was in (*INTEGERS, "numeric")),
        *((was, "real") for was in ("smallint", "integer", "bigint")),
        *((was, was) for was in ("timestamp without time zone", "timestamp with time zone", "interval")),
        ("timestamp without time zone", "timestamp with time zone"),
        ("timestamp with time zone", "timestamp without time zone"),
        ("timestamp without time zone", "date"),
        ("timestamp with time zone", "date"),
        ("date", "timestamp without time zone"),
        ("date", "timestamp with time zone"),
        ("json", "jsonb"),
        ("jsonb", "json"),
    ]
)


def _constant(column: Column) -> str | None:
    """Return the default that existing rows get for a new column; None if they get a null."""
    default = column.default
    return None if default is None or bare(default).strip().lower() == "null" else default


def missing_value(moment: Moment, table: TableState, column: Column) -> Iterator[Problem]:
    """A new column that may not be null and has no default fails if the table has any row."""
    fills = _constant(column) is not None or SERIAL.fullmatch(column.type.strip()) is not None
    if column.nullable or fills or moment.has_rows(table) is False:
        return
    if moment.has_rows(table) or table.live is None:
        yield NotKnown(f"whether {table.name} has rows then")
        return
    says = (
        f'column "{column.name}" of relation "{table.path[1]}" contains null values'
        if moment.is_postgresql
        else "Cannot add a NOT NULL column with default value NULL"
    )
    yield Rows(
        f"{table.name} has {ROWS}, and the new column {column.name} may not be null and has no default",
        RowRules(moment, table).everything(),
        says,
    )
