"""The report of one run from start to end, as text for the incident report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from magetui.protocol import events
from magetui.text import formats, run_conclusion
from magetui.text import preview as previews
from magetui.text.run_events import RunTeller
from magetui.text.schema_changes import describe_change

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord

MARGIN = " " * 14


def report(record: RunRecord, happened: Sequence[events.Event]) -> Iterator[str]:
    """Yield the lines of the report: what the run was, how it ended, then each event with its time."""
    by_hand = record.verb in run_conclusion.WITHOUT_VERSION_ROW
    yield f"run {record.run}: {run_conclusion.aim(record)}"
    limits = next((event for event in happened if isinstance(event, events.RunStarted)), None)
    facts = [
        ("database", record.database),
        ("scripts", record.project),
        ("started", f"{record.started or '?'} by {record.user}@{record.host}, process {record.pid or '?'}"),
        ("session", f"{record.session} on the server, as '{record.application}'" if record.session else ""),
        ("limits", _limits(limits) if limits and not by_hand else ""),
        ("ended", record.ended or ("not yet" if record.alive else "unknown")),
        ("took", formats.duration(record.elapsed_ms)),
        ("current", "" if by_hand else run_conclusion.way(record, "")),
    ]
    for name, value in facts:
        if value:
            yield f"  {name:<9} {formats.plain(value)}"
    yield f"  {run_conclusion.conclusion(record)}"
    for heading, texts in (("Lost, as counted before the run", _losses(record)), ("Schema changes", _changes(record))):
        if texts:
            yield from ("", f"{heading}:", "", *(f"  {text}" for text in texts))
    yield from ("", "Events, in minutes and seconds since the start:", "")
    latest = 0.0  # seconds since the start; a clock that was set back does not make it less
    for event, lines in RunTeller(record.run, lambda at: _clock(_seconds(record.started, at))).lines(happened):
        latest = max(latest, _seconds(record.started, event.at))
        for number, line in enumerate(lines):
            yield (f"{_clock(latest):>12}  {line}" if number == 0 else f"{MARGIN}{line}").rstrip()


def _losses(record: RunRecord) -> list[str]:
    return previews.lost_rows(record.losses)


def _changes(record: RunRecord) -> list[str]:
    """Return the changes of the schema since the start of the run, whoever made them."""
    if record.compared is None:
        return []
    more = [f"and {record.compared.more} more"] if record.compared.more else []
    return [*map(describe_change, record.compared.changes), *more]


def _limits(started: events.RunStarted) -> str:
    lock, statement, retries = started.lock_timeout_ms, started.statement_timeout_ms, started.lock_retries
    limits = [
        f"lock timeout {formats.duration(lock)}" if lock else "no lock timeout",
        f"statement timeout {formats.duration(statement)}" if statement else "",
        f"up to {retries} retries after a lock timeout" if retries else "",
        "cancelled on disconnect" if started.on_disconnect == "cancel" else "",
    ]
    return ", ".join(limit for limit in limits if limit)


def _seconds(start: str | None, at: str) -> float:
    return 0.0 if start is None else max(0.0, (formats.moment(at) - formats.moment(start)).total_seconds())


def _clock(seconds: float) -> str:
    """Return '3:07.120', the time since the run started."""
    return f"{int(seconds // 60)}:{seconds % 60:06.3f}"
