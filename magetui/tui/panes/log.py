"""Pane 4: every action with its time and outcome, and the recorded runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from magetui.text import formats
from magetui.tui.panes.base import RowsPane
from magetui.tui.theme import CRITICAL, GOOD, QUIET, WARNING
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord

RUN = "run:"
ENTRY = "entry:"
STYLES = {"done": GOOD, "running": WARNING, "failed": CRITICAL, "lost": CRITICAL}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    at: str  # local wall-clock time
    verb: str
    text: str
    took: str = ""
    style: str = ""
    run: int | None = None  # the number of the run that the entry is about
    database: str | None = None  # of the run, as records name it
    brief: tuple[str, ...] = ()  # shorter versions of `text`, the longest first, for narrow terminals


class LogPane(RowsPane):
    NUMBER, NAME = 4, "Log"
    ABOUT = (
        "Every action with its time and outcome, and the recorded runs. Enter shows the full text of an entry; on a "
        "run, enter opens the run."
    )

    EMPTY = "no actions yet"

    def __init__(self) -> None:
        super().__init__("log", "log-rows")
        self._entries: list[Entry] = []
        self._database: str | None = None  # the current database

    def add(self, entry: Entry) -> None:
        """Append an entry. If it is about a run, it replaces an earlier entry about the same run."""
        self._entries = [e for e in self._entries if entry.run is None or e.run != entry.run]
        self._entries.append(entry)
        self._show()

    def add_runs(self, records: Sequence[RunRecord], database: str | None) -> None:
        """Put recorded runs, oldest first, before our actions. Runs of another database than `database` name theirs."""
        self._database = database
        known = {entry.run for entry in self._entries if entry.run is not None}
        past = [entry_of(record) for record in records if record.run not in known]
        self._entries = past + self._entries
        self._show()

    def entry(self, key: str) -> Entry | None:
        """Return the entry of a row, or None if the row is a run's."""
        index = key.removeprefix(ENTRY)
        return self._entries[int(index)] if index.isdigit() and int(index) < len(self._entries) else None

    @property
    def runs(self) -> list[tuple[int, str]]:
        """The number and the text of each run in the log, the latest first."""
        return [(entry.run, formats.plain(entry.text)) for entry in reversed(self._entries) if entry.run is not None]

    def _show(self) -> None:
        entries, database = list(self._entries), self._database
        latest = entries[-1] if entries else None
        self.show_title(f"{latest.at} {latest.verb}: {latest.text}" if latest else "")
        self.rows.show(lambda width: log_rows(entries, width, database))
        if entries:
            self.rows.lines.action_last()


def entry_of(record: RunRecord) -> Entry:
    from magetui.text import run_conclusion  # needed when the first run is known

    at = formats.local_time(record.ended or record.started)
    outcome = f"run {record.run}: {formats.outcome(record.outcome)}"
    return Entry(
        at,
        record.verb,
        f"{outcome}, {run_conclusion.way(record)}",
        formats.duration(record.elapsed_ms),
        STYLES.get(record.outcome, WARNING),
        record.run,
        record.database,
        brief=(
            f"{outcome}, {run_conclusion.way(record, brief=True)}",
            f"{outcome}, {run_conclusion.way(record, '', brief=True)}",
            outcome,
        ),
    )


def log_rows(entries: Sequence[Entry], width: int, database: str | None) -> list[Row]:
    """Return a row for each entry: time, verb, text, duration. A run of another database also names its database."""
    rows = []
    for number, entry in enumerate(entries):
        room = max(10, width - 13 - 10 - 11)
        elsewhere = entry.database is not None and entry.database != database
        prefix = f"on {formats.place(entry.database or '')}: " if elsewhere else ""
        texts = [prefix + text for text in (entry.text, *entry.brief)]
        shown = next((text for text in texts if cell_len(text) <= room), texts[0])
        content = Content.assemble(
            (fitted(entry.at, 13), QUIET),
            fitted(entry.verb, 10),
            (fitted(shown, room), entry.style),
            (f"{entry.took:>11}", QUIET),
        )
        key = f"{RUN}{entry.run}" if entry.run is not None else f"{ENTRY}{number}"
        copied = texts[0] if entry.run is None else str(entry.run)
        rows.append(Row(key, content, f"{entry.verb} {texts[0]}", formats.plain(copied)))
    return rows
