"""How values are said to a person: durations, sizes, sessions, outcomes. Both front ends use these words.

Text from a database or a script may hold escape codes; `plain` makes it safe to show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from magetui.backends.base import Session
from magetui.engine.runs import RunRecord

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
KIBI = 1024


def plain(text: str) -> str:
    """`text` with what a terminal would obey made visible: control characters, and marks that reorder text."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text.expandtabs(4))


def one_line(text: str, width: int = 0) -> str:
    """`text` on one line, cut at `width` columns with an ellipsis (0: not cut)."""
    line = plain(" ".join(text.split()))
    return line if not width or len(line) <= width else line[: max(0, width - 1)] + "…"


def duration(milliseconds: int | None) -> str:
    """'84 ms', '6.8 s', '6 min', '3 h 20 min', '4 days'."""
    if milliseconds is None:
        return ""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s" if minutes < 10 else f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


def size(count: int | None) -> str:
    """'320 kB', '890 MB'; empty where unknown."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < KIBI * 10 or (unit == "B" and count < KIBI):
            return f"{count} {unit}"
        count = (count + KIBI // 2) // KIBI
    return f"{count} TB"


def rows(count: int | None) -> str:
    """'2,104,332 rows', or empty where unknown."""
    if count is None:
        return ""
    return "1 row" if count == 1 else f"{count:,} rows"


def session_line(session: Session) -> str:
    """'4711  mage  mage-server  10.0.3.7  idle in transaction, 6 min'."""
    state = session.state or ""
    age = duration(session.transaction_ms)
    doing = ", ".join(part for part in (state, age) if part)
    parts = (str(session.pid), session.user, session.application, session.client, doing)
    return "  ".join(one_line(part) for part in parts if part)


def mode(lock_mode: str | None) -> str:
    """A lock mode as it is read in a sentence: 'access exclusive'."""
    return (lock_mode or "").lower()


OUTCOMES: Mapping[str, str] = {
    "running": "goes on",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "lock-timeout": "gave up waiting for a lock",
    "statement-timeout": "a statement took longer than its timeout",
    "refused": "refused",
    "lost": "lost",
}


def marker(revisions: tuple[str, ...] | None) -> str:
    """The marker's revisions, 'nothing' for none, 'unknown' where it could not be read."""
    if revisions is None:
        return "unknown"
    return ", ".join(plain(one) for one in revisions) or "nothing"


def run_conclusion(record: RunRecord) -> str:
    """What became of a run, in one or two sentences, from what the database says."""
    if record.outcome == "running":
        return f"Run {record.run} goes on."
    if record.outcome == "done":
        return f"Done. The database now says {marker(record.marker_after)}."
    said = {
        "failed": f"It failed: {one_line(record.error or 'no reason was given')}",
        "cancelled": "It was cancelled.",
        "lock-timeout": one_line(record.error or "A lock was not to be had within the lock timeout.")
        if not record.statement
        else f"A lock was not to be had within {duration(record.lock_timeout_ms)}.",
        "statement-timeout": "A statement took longer than its timeout and was ended.",
        "refused": one_line(record.error or "It was refused."),
        "lost": f"It was lost: {one_line(record.error or 'the connection broke')}",
    }[record.outcome]
    if not said.endswith("."):
        said += "."
    if record.where and record.outcome == "failed":
        said += f" At {plain(record.where)}."
    if record.outcome == "refused":
        return said
    if record.marker_after is None:
        return f"{said} What the database says now could not be read; 'magetui diagnose' asks again."
    if record.unchanged:
        return f"{said} The database is as it was before the run: {marker(record.marker_after)}."
    kept = " Part of it was committed and stays." if record.committed and record.outcome != "lost" else ""
    return f"{said}{kept} The database now says {marker(record.marker_after)}."
