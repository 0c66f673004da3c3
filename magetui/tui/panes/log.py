"""Pane 4: every action with its time and outcome, and the runs on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.content import Content

from magetui.tui.panes.base import RowsPane
from magetui.tui.theme import CRITICAL, GOOD, QUIET, WARNING
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord

RUN = "run:"
ENTRY = "entry:"
STYLES = {"done": GOOD, "running": WARNING, "failed": CRITICAL, "lost": CRITICAL}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log; `at` is local wall-clock time.

    `run` is the number of a run on record, and `database` the one it was on, as records name it. `brief` is what is
    said where there is no room for `text`, the longest first.
    """

    at: str
    verb: str
    text: str
    took: str = ""
    style: str = ""
    run: int | None = None
    database: str | None = None
    brief: tuple[str, ...] = ()


class LogPane(RowsPane):
    """What was done, oldest first; enter on a run opens it."""

    NUMBER, NAME = 4, "Log"
    ABOUT = (
        "Every action with its time and outcome, and the runs on record. Enter shows an entry in full, "
        "and of a run what happened in it."
    )

    def __init__(self) -> None:
        super().__init__(id="log")
        self._entries: list[Entry] = []
        self._database: str | None = None  # the one that is looked at

    def compose(self) -> ComposeResult:
        yield Rows(id="log-rows", empty="nothing was done yet")

    def add(self, entry: Entry) -> None:
        """Append an entry; one of a run that is already there takes its place."""
        self._entries = [e for e in self._entries if entry.run is None or e.run != entry.run]
        self._entries.append(entry)
        self._show()

    def add_runs(self, records: Sequence[RunRecord], database: str | None) -> None:
        """Put runs on record, oldest first, before what was done in this program.

        From here on it is said of each run that is not of `database` which one it was on.
        """
        self._database = database
        known = {entry.run for entry in self._entries if entry.run is not None}
        past = [entry_of(record) for record in records if record.run not in known]
        self._entries = past + self._entries
        self._show()

    def entry(self, key: str) -> Entry | None:
        """The entry of a row that is not a run's."""
        place = key.removeprefix(ENTRY)
        return self._entries[int(place)] if place.isdigit() and int(place) < len(self._entries) else None

    def _show(self) -> None:
        entries, database = list(self._entries), self._database
        latest = entries[-1] if entries else None
        self.tell_state(f"{latest.at} {latest.verb}: {latest.text}" if latest else "")
        self.rows.show(lambda width: log_rows(entries, width, database))
        if entries:
            self.rows.lines.action_last()


def entry_of(record: RunRecord) -> Entry:
    """A run as a line of the log."""
    from magetui.text import formats

    at = formats.local_time(record.ended or record.started)
    ended = f"run {record.run}: {formats.OUTCOMES[record.outcome]}"
    return Entry(
        at,
        record.verb,
        f"{ended}, {formats.way(record)}",
        formats.duration(record.elapsed_ms),
        STYLES.get(record.outcome, WARNING),
        record.run,
        record.database,
        brief=(f"{ended}, {formats.way(record, brief=True)}", f"{ended}, {formats.way(record, '', brief=True)}", ended),
    )


def log_rows(entries: Sequence[Entry], width: int, database: str | None) -> list[Row]:
    """The entries for a width: time, verb, text, duration; of a run on another database than that one, on which."""
    from magetui.text import formats

    rows = []
    for number, entry in enumerate(entries):
        room = max(10, width - 13 - 10 - 11)
        elsewhere = entry.database is not None and entry.database != database
        where = f"on {formats.place(entry.database or '')}: " if elsewhere else ""
        text = where + entry.text
        shown = next((said for one in (entry.text, *entry.brief) if cell_len(said := where + one) <= room), text)
        content = Content.assemble(
            (fitted(entry.at, 13), QUIET),
            fitted(entry.verb, 10),
            (fitted(shown, room), entry.style),
            (f"{entry.took:>11}", QUIET),
        )
        key = f"{RUN}{entry.run}" if entry.run is not None else f"{ENTRY}{number}"
        rows.append(Row(key, content, f"{entry.verb} {text}"))
    return rows
