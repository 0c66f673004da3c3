"""Pane 3: the live schema. Each table opens to its columns, indexes, keys and constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.content import Content
from textual.message import Message

from magetui.text import formats
from magetui.tui.panes.base import RowsPane
from magetui.tui.theme import CRITICAL, QUIET, STRONG
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.model.schema import Table, TableDetail

NAME_WIDTH = 16  # columns that a name needs before sizes are shown beside it


class SchemaPane(RowsPane):
    NUMBER, NAME = 3, "Schema"
    ABOUT = (
        "The tables of the database, with the server's estimate of their rows. Enter on a table shows its columns, "
        "indexes, keys and constraints."
    )

    EMPTY = "no tables"

    @dataclass
    class TableWanted(Message):
        """A table was opened, and its details must be read."""

        schema: str | None
        name: str

    def __init__(self) -> None:
        super().__init__("schema", "schema-rows")
        self._tables: dict[str, Table] = {}
        self._details: dict[str, TableDetail] = {}
        self._open: set[str] = set()
        self._one_schema = True

    def show_tables(self, tables: Sequence[Table]) -> None:
        """Show the tables. Open tables stay open, and their details are read again."""
        self._tables = {key_of(table): table for table in tables}
        self._details = {}
        self._open &= set(self._tables)
        schemas = {table.schema for table in tables}
        self._one_schema = len(schemas) <= 1
        schema = next(iter(schemas)) if len(schemas) == 1 else f"{len(schemas)} schemas" if schemas else None
        self.show_title(" · ".join(part for part in (schema, formats.number(len(tables), "table")) if part))
        self._show()
        for key in self._open:
            self._request_details(key)

    def show_reading(self) -> None:
        self._tables, self._details, self._open = {}, {}, set()
        super().show_reading()

    def show_problem(self, message: str) -> None:
        self._tables, self._details = {}, {}
        super().show_problem(message)

    def show_details(self, details: Sequence[TableDetail]) -> None:
        self._details |= {key_of(detail.table): detail for detail in details}
        self._show()

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        key = event.key.split("\0")[0]
        if key not in self._tables:
            return
        if key in self._open:
            self._open.discard(key)
        else:
            self._open.add(key)
            if key not in self._details:
                self._request_details(key)
        self._show()
        self.rows.select(key)

    def _request_details(self, key: str) -> None:
        table = self._tables[key]
        self.post_message(self.TableWanted(table.schema, table.name))

    def _show(self) -> None:
        tables, details, opened = dict(self._tables), dict(self._details), frozenset(self._open)
        qualified = not self._one_schema
        self.rows.show(lambda width: schema_rows(tables, details, opened, width, qualified=qualified))


def key_of(table: Table) -> str:
    """Return a table's key. It is stable, and no table name can imitate another key."""
    return f"{table.schema or ''}\1{table.name}"


def schema_rows(
    tables: Mapping[str, Table],
    details: Mapping[str, TableDetail],
    opened: frozenset[str],
    width: int,
    *,
    qualified: bool,
) -> list[Row]:
    """Return a row for each table, and below an open table a row for each of its parts."""
    rows: list[Row] = []
    counts = {key: formats.rows(table.rows) for key, table in tables.items()}
    bytes_ = {key: formats.size(table.bytes) for key, table in tables.items()}
    count_width, size_width = (max(map(len, texts.values()), default=0) + 2 for texts in (counts, bytes_))
    sizes_width = count_width + size_width
    for key, table in tables.items():
        name = formats.plain(f"{table.schema}.{table.name}" if qualified and table.schema else table.name)
        sizes = f"{counts[key]:>{count_width}}{bytes_[key]:>{size_width}}"
        room = width - 2 - (sizes_width if width >= sizes_width + NAME_WIDTH + 2 else 0)
        content = Content.assemble(
            "▾ " if key in opened else "▸ ",
            (fitted(name, room), STRONG if key in opened else ""),
            (sizes if room < width - 2 else "", QUIET),
        )
        rows.append(Row(key, content, name))
        if key in opened:
            if key in details:
                rows.extend(_detail_rows(key, name, details[key], width))
            else:
                rows.append(Row(f"{key}\0…", Content.styled("    reading …", QUIET), name))
    return rows


def _detail_rows(key: str, table: str, detail: TableDetail, width: int) -> list[Row]:
    rows: list[Row] = []

    def add(content: Content) -> None:
        rows.append(Row(f"{key}\0{len(rows)}", content, f"{table} {content.plain}"))

    name_width = min(max((len(c.name) for c in detail.columns), default=8), max(8, width // 2 - 6)) + 2
    for column in detail.columns:
        facts = [
            "" if column.nullable else "not null",
            "primary key" if column.name in detail.primary_key else "",
            f"default {formats.one_line(column.default)}" if column.default else "",
        ]
        add(
            Content.assemble(
                "    ",
                fitted(formats.plain(column.name), name_width),
                formats.plain(column.type),
                ("  " + "  ".join(fact for fact in facts if fact), QUIET),
            )
        )
    for index in detail.indexes:
        kind = "unique index" if index.unique else "index"
        add(
            Content.assemble(
                (f"    {kind} ", QUIET),
                formats.plain(f"{index.name} ({', '.join(index.columns)})"),
                ("" if index.valid else "  INVALID", CRITICAL),
            )
        )
    for foreign in detail.foreign_keys:
        refers = f"({', '.join(foreign.columns)}) → {foreign.referred_table} ({', '.join(foreign.referred_columns)})"
        add(Content.assemble(("    foreign key ", QUIET), formats.plain(f"{foreign.name or ''} {refers}".strip())))
    for constraint in detail.constraints:
        text = formats.one_line(f"{constraint.name or ''} {constraint.definition}".strip())
        add(Content.assemble((f"    {constraint.kind} ", QUIET), text))
    return rows
