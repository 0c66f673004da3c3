"""Pane 3: the live schema. Each table opens to its columns, indexes, keys and constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.message import Message

from magetui.text import formats
from magetui.tui.panes.base import RowsPane
from magetui.tui.theme import BAR, CRITICAL, QUIET, STRONG
from magetui.tui.widgets.bars import bar_of
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.model.schema import Table, TableDetail

ARROW, GAP = 2, 2
NAME_WIDTH = 16  # columns that a name needs before sizes are shown beside it
SHORTEST_BAR, LONGEST_BAR = 6, 30
ROWS, SIZE = "ROWS", "SIZE"
ORDERS = ("name", "size", "rows")


class SchemaPane(RowsPane):
    NUMBER, NAME = 3, "Schema"
    ABOUT = (
        "The tables of the database, with the server's estimate of their rows. Enter opens a table: its columns, "
        "indexes, keys, constraints, the locks on it and its first rows. Space unfolds and folds the table here. Find "
        "searches the names of all tables and of all their columns."
    )

    EMPTY = "no tables"
    BINDINGS = [
        Binding("o", "sort", "Sort", show=False, tooltip="sort by name, by size or by rows, in turn"),
        Binding("space", "fold", "Unfold", show=False, tooltip="unfold or fold the table at the cursor"),
        Binding("right", "fold(True)", "Unfold", show=False, tooltip="unfold the table at the cursor"),
        Binding("left", "fold(False)", "Fold", show=False, tooltip="fold the table at the cursor"),
    ]

    @dataclass
    class TableWanted(Message):
        """A table was unfolded, and its details must be read."""

        schema: str | None
        name: str

    class ColumnsWanted(Message):
        """The operator searches, and the columns of all tables must be read."""

    def __init__(self) -> None:
        super().__init__("schema", "schema-rows")
        self._tables: dict[str, Table] = {}
        self._details: dict[str, TableDetail] = {}
        self._open: set[str] = set()
        self._one_schema = True
        self._is_searched = False  # whether the columns of all tables are wanted
        self._order = ORDERS[0]

    def show_tables(self, tables: Sequence[Table]) -> None:
        """Show the tables. Open tables stay open, and their details are read again."""
        before, self._tables = self._tables, {key_of(table): table for table in tables}
        if before != self._tables or self._open:
            self._details = {}
        self._open &= set(self._tables)
        self._entitle()
        self._show()
        if self._is_searched and self.rows.is_finding:
            self._search_columns()
        for key in self._open:
            self._request_details(key)

    def _entitle(self) -> None:
        schemas = {table.schema for table in self._tables.values()}
        self._one_schema = len(schemas) <= 1
        schema = next(iter(schemas)) if len(schemas) == 1 else f"{len(schemas)} schemas" if schemas else None
        sorted_by = "" if self._order == "name" else f"by {self._order}"
        tables = formats.number(len(self._tables), "table")
        self.show_title(" · ".join(part for part in (tables, schema, sorted_by) if part))

    def show_reading(self) -> None:
        self._tables, self._details, self._open, self._is_searched = {}, {}, set(), False
        super().show_reading()

    def show_problem(self, message: str) -> None:
        self._tables, self._details = {}, {}
        super().show_problem(message)

    def show_details(self, details: Sequence[TableDetail]) -> None:
        self._details |= {key_of(detail.table): detail for detail in details}
        self._show()

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(self._tables.values())

    @property
    def selected(self) -> Table | None:
        """The table at the cursor, or the table that the row at the cursor is a part of."""
        return self._tables.get((self.rows.selected or "").split("\0")[0])

    def action_fold(self, unfold: bool | None = None) -> None:
        """Unfold or fold the table at the cursor. None: the other way."""
        if self.selected is None:
            return
        key = key_of(self.selected)
        if unfold is None:
            unfold = key not in self._open
        if not unfold:
            self._open.discard(key)
        elif key not in self._open:
            self._open.add(key)
            if key not in self._details:
                self._request_details(key)
        self._show()
        if not unfold:
            self.rows.select(key)

    # -- searching the columns

    @on(Rows.FindStarted)
    def _search_columns(self) -> None:
        self._is_searched = True
        if not self._details.keys() >= self._tables.keys():
            self.rows.note_search("searching columns …  ")
            self.post_message(self.ColumnsWanted())

    def show_columns(self, details: Sequence[TableDetail] | str) -> None:
        """Find columns, too, or show that they could not be read."""
        self.rows.note_search("columns not read  " if isinstance(details, str) else "")
        if not isinstance(details, str):
            self.show_details(details)

    def _request_details(self, key: str) -> None:
        table = self._tables[key]
        self.post_message(self.TableWanted(table.schema, table.name))

    def _show(self) -> None:
        tables, details, opened = dict(self._tables), dict(self._details), frozenset(self._open)
        qualified = not self._one_schema
        names = [_name(table, qualified=qualified) for table in tables.values()]
        order = self._order
        self.rows.show(
            lambda width: schema_rows(
                tables, details, opened, width, qualified=qualified, order=order, sought=self.rows.sought
            ),
            lambda width: schema_heading(columns_of(list(tables.values()), names, width)),
        )

    def action_sort(self) -> None:
        """Sort the tables by name, by size or by rows, in turn."""
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self._entitle()
        self._show()


def key_of(table: Table) -> str:
    """Return a table's key. It is stable, and no table name can imitate another key."""
    return f"{table.schema or ''}\1{table.name}"


@dataclass(frozen=True, slots=True)
class Columns:
    """The widths of the list: name, rows, size and the bar of the size. A width of 0 leaves a column out."""

    name: int
    rows: int = 0
    size: int = 0
    bar: int = 0


def columns_of(tables: Sequence[Table], names: Sequence[str], width: int) -> Columns:
    """Return the widths of the columns. On a narrow pane the bar goes first, then the numbers."""
    rows = max([len(ROWS), *(len(_count(table)) for table in tables)]) + GAP
    size = max([len(SIZE), *(len(formats.size(table.bytes)) for table in tables)]) + GAP
    room = width - ARROW - rows - size
    if room < NAME_WIDTH:
        return Columns(max(1, width - ARROW))
    longest = max(map(cell_len, names), default=0)
    bar = min(LONGEST_BAR, room - longest - GAP)
    return Columns(room, rows, size) if bar < SHORTEST_BAR else Columns(room - bar - GAP, rows, size, bar)


def _count(table: Table) -> str:
    return "" if table.rows is None else f"{table.rows:,}"


def schema_heading(columns: Columns) -> str:
    """Return the names of the columns."""
    bar = " " * (columns.bar + GAP) if columns.bar else ""
    if not columns.rows:
        return f"  {'TABLE':<{columns.name}}"
    return f"  {'TABLE':<{columns.name}}{ROWS:>{columns.rows}}{bar}{SIZE:>{columns.size}}"


def in_order(tables: Mapping[str, Table], order: str) -> list[str]:
    """Return the keys of the tables by name, or the largest first."""
    if order == "name":
        return list(tables)
    return sorted(tables, key=lambda key: -((tables[key].rows if order == "rows" else tables[key].bytes) or 0))


def schema_rows(
    tables: Mapping[str, Table],
    details: Mapping[str, TableDetail],
    opened: frozenset[str],
    width: int,
    *,
    qualified: bool,
    order: str = "name",
    sought: str = "",
) -> list[Row]:
    """Return a row for each table, and below an open table a row for each of its parts.

    Below another table, there are its columns that have the text `sought`.
    """
    rows: list[Row] = []
    names = {key: _name(table, qualified=qualified) for key, table in tables.items()}
    columns = columns_of(list(tables.values()), list(names.values()), width)
    largest = max((table.bytes or 0 for table in tables.values()), default=0)
    keys = in_order(tables, order)
    if sought:  # a table whose name starts with the text, or has it, is likelier meant than one with such a column
        keys.sort(key=lambda key: (not names[key].lower().startswith(sought), sought not in names[key].lower()))
    for key in keys:
        table = tables[key]
        bar = bar_of(table.bytes or 0, largest, columns.bar)
        numbers = [
            f"{_count(table):>{columns.rows}}" if columns.rows else "",
            " " * GAP + fitted(bar, columns.bar) if columns.bar else "",
            f"{formats.size(table.bytes):>{columns.size}}" if columns.size else "",
        ]
        content = Content.assemble(
            "▾ " if key in opened else "▸ ",
            (fitted(names[key], columns.name), STRONG if key in opened else ""),
            numbers[0],
            (numbers[1], BAR),
            numbers[2],
        )
        rows.append(Row(key, content, names[key], names[key]))
        if key in opened:
            if key in details:
                rows.extend(_detail_rows(key, names[key], details[key], width))
            else:
                rows.append(Row(f"{key}\0…", Content.styled("    reading …", QUIET), names[key], names[key], key))
        elif sought and key in details:
            rows.extend(_column_rows(key, details[key], width, sought))
    return rows


def _name(table: Table, *, qualified: bool) -> str:
    return formats.plain(f"{table.schema}.{table.name}" if qualified and table.schema else table.name)


def _detail_rows(key: str, table: str, detail: TableDetail, width: int) -> list[Row]:
    rows = _column_rows(key, detail, width, table=table)

    def add(content: Content, name: str | None) -> None:
        copied = formats.plain(name or content.plain.strip())
        rows.append(Row(f"{key}\0{len(rows)}", content, f"{table} {content.plain}", copied, key))

    for index in detail.indexes:
        kind = "unique index" if index.unique else "index"
        add(
            Content.assemble(
                (f"    {kind} ", QUIET),
                formats.plain(f"{index.name} ({', '.join(index.columns)})"),
                ("" if index.valid else "  INVALID", CRITICAL),
            ),
            index.name,
        )
    for foreign in detail.foreign_keys:
        refers = f"({', '.join(foreign.columns)}) → {foreign.referred_table} ({', '.join(foreign.referred_columns)})"
        text = formats.plain(f"{foreign.name or ''} {refers}".strip())
        add(Content.assemble(("    foreign key ", QUIET), text), foreign.name)
    for constraint in detail.constraints:
        text = formats.one_line(f"{constraint.name or ''} {constraint.definition}".strip())
        add(Content.assemble((f"    {constraint.kind} ", QUIET), text), constraint.name)
    return rows


def _column_rows(key: str, detail: TableDetail, width: int, sought: str = "", table: str = "") -> list[Row]:
    """Return a row for each column whose name has the text `sought`. The rows are found by the table's name, too."""
    name_width = min(max((len(c.name) for c in detail.columns), default=8), max(8, width // 2 - 6)) + 2
    rows = []
    for number, column in enumerate(detail.columns):
        name = formats.plain(column.name)
        if sought not in name.lower():
            continue
        facts = [
            "" if column.nullable else "not null",
            "primary key" if column.name in detail.primary_key else "",
            f"default {formats.one_line(column.default)}" if column.default else "",
        ]
        content = Content.assemble(
            "    ",
            fitted(name, name_width),
            formats.plain(column.type),
            ("  " + "  ".join(fact for fact in facts if fact), QUIET),
        )
        search = f"{table} {content.plain}" if table else name
        rows.append(Row(f"{key}\0{number}", content, search, name, key))
    return rows
