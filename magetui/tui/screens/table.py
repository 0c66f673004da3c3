"""The table screen: columns, indexes, keys, the locks on the table, and its first rows if the operator asks for them.

The rows are in this screen alone. No log, no journal and no file gets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static
from textual.worker import get_current_worker

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen, TextScreen
from magetui.tui.screens.session import SessionScreen
from magetui.tui.theme import BAR, QUIET, STRONG, WARNING
from magetui.tui.widgets.first_rows import READ_ROWS, ROW, Grid, unread_part
from magetui.tui.widgets.rows import Row, Rows
from magetui.tui.widgets.table_parts import (
    COLUMN,
    LOCK,
    REFERRED,
    REFERS,
    Part,
    column_lines,
    columns_part,
    indexes_part,
    keys_part,
    locks_part,
)

if TYPE_CHECKING:
    from magetui.engine.table import TableFacts
    from magetui.model.schema import FirstRows, Table

BORDER_AND_HEADING = 2
WIDE, WIDEST, TALL = 120, 180, 45  # columns from which there are two lists above the rows, or three
# The parts in each list, by the layout.
LAYOUTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "one": {"table-first": ("columns", "indexes", "keys", "locks", "rows")},
    "one-above-rows": {"table-first": ("columns", "indexes", "keys", "locks"), "table-rows": ("rows",)},
    "two": {"table-first": ("columns",), "table-second": ("indexes", "keys", "locks"), "table-rows": ("rows",)},
    "four": {
        "table-first": ("columns",),
        "table-second": ("indexes", "keys"),
        "table-third": ("locks",),
        "table-rows": ("rows",),
    },
}


class TableScreen(OverScreen):
    NAME = "Table"
    ABOUT = (
        "One table: its columns, its indexes, the keys of this table and of the tables that refer to it, its "
        "constraints, and the sessions that hold a lock on it or wait for one. Space reads its first 50 rows in a "
        "read-only transaction that does not wait for locks; left and right move through the columns. Values are cut "
        "at 40 characters, and those of columns named like a credential are not read. The rows are shown here alone: "
        "no log and no file gets them. Enter opens a column, a session, the other table of a key, or a row."
    )
    BINDINGS = [
        Binding("space", "read_rows", "First rows", tooltip="read the first 50 rows, read-only"),
        Binding("l", "app.locks", "Locks", tooltip="see all sessions, their locks and waits"),
        Binding("r", "again", "Read again", tooltip="read the table again, and its rows if they are shown"),
        Binding("left", "move(-1)", "Columns to the left", show=False),
        Binding("right", "move(1)", "Columns to the right", show=False),
    ]

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table
        self._facts: TableFacts | None = None
        self._grid: Grid | None = None
        self._rows_problem: str | None = None
        self._has_failed = False  # whether the reading ended early, for a reason that is shown
        self._is_reading_rows = False
        self._first_column = 0  # of the rows that are shown

    def compose_body(self) -> ComposeResult:
        yield Static(id="table-problem", markup=False)
        with Horizontal(id="table-top"):
            for name in ("first", "second", "third"):
                yield Rows(id=f"table-{name}")
        yield Rows(id="table-rows")

    def on_mount(self) -> None:
        self.query_one("#table-problem").display = False
        self._entitle(self._table)
        self._lay_out()
        self.query_one("#table-first", Rows).focus_lines()
        self._read()

    def _entitle(self, table: Table) -> None:
        count = "" if table.rows is None else f"about {formats.rows(table.rows)}"
        facts = "   ".join(part for part in (count, formats.size(table.bytes)) if part)
        name = formats.plain(table.name if table.schema is None else f"{table.schema}.{table.name}")
        self.entitle((f" {name}", STRONG), f"   {facts}", (f"   {self.magetui.database_label}", QUIET))

    # -- reading the facts

    def read_again(self) -> None:
        """Read the facts again: a run may have changed the table while another screen was in front."""
        self._read()

    def action_again(self) -> None:
        self._read()
        if self._grid is not None:
            self.action_read_rows()

    @work(thread=True, exclusive=True, group="table", exit_on_error=False)
    def _read(self) -> None:
        load_engine()
        from magetui.engine.table import read_table

        worker = get_current_worker()
        try:
            with closing(read_table(self.magetui.open_workspace(), self._table.schema, self._table.name)) as reading:
                for facts in reading:
                    if worker.is_cancelled:
                        return
                    self.call_later(self._found, facts)
        except MagetuiError as error:
            self.call_later(self._failed, error.message)

    def _found(self, facts: TableFacts) -> None:
        self._facts, self._has_failed = facts, False
        self.mark_read()
        self.query_one("#table-problem").display = False
        self._entitle(facts.detail.table)
        self._show()

    def _failed(self, problem: str) -> None:
        self._has_failed = True
        self._show()
        self.mark_read()
        notice = self.query_one("#table-problem", Static)
        notice.update(Content.styled(formats.plain(self.magetui.advise(problem)), WARNING))
        notice.display = True

    # -- reading the rows

    def action_read_rows(self) -> None:
        if not self._is_reading_rows:
            self._is_reading_rows = True
            self._rows_problem = None
            self._show()
            self._read_rows()

    @work(thread=True, group="rows", exit_on_error=False)
    def _read_rows(self) -> None:
        load_engine()
        from magetui.engine.table import first_rows

        try:
            self.call_later(self._rows_read, first_rows(self.magetui.open_workspace(), self._table))
        except (MagetuiError, UnicodeError) as error:
            self.call_later(self._rows_read, None, str(error).rstrip("."))

    def _rows_read(self, found: FirstRows | None, problem: str | None = None) -> None:
        self._is_reading_rows = False
        self._rows_problem = problem if found is None else found.problem
        is_first = self._grid is None
        self._grid = None
        if found is not None and found.problem is None:
            self._grid = Grid(found, f"{datetime.now():%H:%M:%S}")
        self._first_column = 0
        self._lay_out()
        self._show()
        if is_first:
            rows = self._list_of("rows")
            rows.focus_lines()
            rows.select(READ_ROWS if self._grid is None else f"{ROW}0")

    def action_move(self, columns: int) -> None:
        """Show the rows from a later or an earlier column on."""
        if self._grid is not None:
            self._first_column = max(0, min(self._grid.columns - 1, self._first_column + columns))
            self._show_list(self._list_of("rows"))

    # -- the parts and the lists

    @on(Resize)
    def _lay_out(self) -> None:
        width, height = self.app.size.width, self.app.size.height
        if width < WIDE:
            layout = "one" if self._grid is None else "one-above-rows"
        else:
            layout = "four" if width >= WIDEST and height >= TALL else "two"
        if not self.has_class(layout):
            self.remove_class(*LAYOUTS).add_class(layout)
            for rows in self.query(Rows):
                rows.display = rows.id in LAYOUTS[layout]
            if not any(rows.display and rows.has_focus_within for rows in self.query(Rows)):
                self.query_one("#table-first", Rows).focus_lines()
            self._show()

    @property
    def _layout(self) -> Mapping[str, tuple[str, ...]]:
        return next(LAYOUTS[name] for name in LAYOUTS if self.has_class(name))

    def _list_of(self, part: str) -> Rows:
        name = next(name for name, parts in self._layout.items() if part in parts)
        return self.query_one(f"#{name}", Rows)

    def _show(self) -> None:
        self.set_class(self._grid is None, "unread")
        lists = {name: self.query_one(f"#{name}", Rows) for name in self._layout}
        for rows in lists.values():
            self._show_list(rows)
        self.query_one("#table-top").styles.height = self._top_height(lists)

    def _top_height(self, lists: Mapping[str, Rows]) -> int | str:
        """Return the height of the lists above the rows: what they need, but most of the room is for the rows."""
        if "table-rows" not in lists or self._grid is None:
            return "1fr"
        needed = max(rows.lines_needed for name, rows in lists.items() if name != "table-rows")
        share = 3 if self.has_class("one-above-rows") else 2
        return min(needed + BORDER_AND_HEADING, self.app.size.height // share)

    def _show_list(self, rows: Rows) -> None:
        if self._facts is None:
            rows.forget()
            return
        parts = [self._part(self._facts, name) for name in self._layout[rows.id or ""]]
        rows.border_title = parts[0].title.replace("[", r"\[")
        rows.show(lambda width: part_rows(parts, width), parts[0].heading if len(parts) == 1 else None)

    def _part(self, facts: TableFacts, name: str) -> Part:
        match name:
            case "columns":
                return columns_part(facts.detail)
            case "indexes":
                return indexes_part(facts.detail)
            case "keys":
                return keys_part(facts.detail, facts.referrers, has_failed=self._has_failed)
            case "locks":
                return locks_part(facts.locks, is_sqlite=self._table.schema is None, has_failed=self._has_failed)
        if self._grid is None:
            return unread_part(self._rows_problem, is_reading=self._is_reading_rows)
        return self._grid.part(self._first_column)

    # -- opening the row at the cursor

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        facts = self._facts
        if event.key == READ_ROWS:
            self.action_read_rows()
        elif event.key.startswith(ROW) and self._grid is not None:
            number = int(event.key.removeprefix(ROW))
            if number >= self._grid.count:
                return  # the rows have been read again since
            lines = self._grid.lines(number)
            self.app.push_screen(TextScreen(f"Row {number + 1} of {formats.plain(self._table.name)}", _joined(lines)))
        elif event.key.startswith(LOCK) and facts is not None and facts.locks is not None:
            self.app.push_screen(SessionScreen(facts.locks[int(event.key.removeprefix(LOCK))].session))
        elif event.key.startswith(COLUMN) and facts is not None:
            name = event.key.removeprefix(COLUMN)
            self.app.push_screen(TextScreen(formats.plain(name), _joined(column_lines(facts.detail, name))))
        elif facts is not None and (table := self._other_table(facts, event.key)) is not None:
            self.app.push_screen(TableScreen(table))

    def _other_table(self, facts: TableFacts, key: str) -> Table | None:
        """Return the table at the other end of a foreign key."""
        if key.startswith(REFERRED) and facts.referrers is not None:
            return facts.referrers[int(key.removeprefix(REFERRED))].table
        if not key.startswith(REFERS):
            return None
        from magetui.model.schema import Table

        foreign = facts.detail.foreign_keys[int(key.removeprefix(REFERS))]
        return Table(foreign.referred_schema, foreign.referred_table, None, None)


def part_rows(parts: Sequence[Part], width: int) -> list[Row]:
    """Return the rows of the parts in one list. With several parts, each one has its title and heading as a row."""
    if len(parts) == 1:
        return parts[0].rows(width)
    made = []
    for number, part in enumerate(parts):
        rule = f"─ {part.title} ".ljust(width, "─")
        lines = [Content.styled(rule, BAR)] if number else []
        lines += [Content.styled(part.heading(width), QUIET)] if part.heading is not None else []
        if lines:
            made.append(Row(f"heading {number}", _joined(lines), "", is_heading=True))
        made += part.rows(width)
    return made


def _joined(lines: Sequence[Content]) -> Content:
    return Content("\n").join(lines)
