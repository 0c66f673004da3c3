"""How values are said to a person: durations, sizes, sessions, outcomes. Both front ends use these words.

Text from a database or a script may hold escape codes; `plain` makes it safe to show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from magetui.engine.runs.record import Attempt, RunRecord, Signal
from magetui.model.sessions import LockWait, Session, StatementProgress

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
NEAR = re.compile(r"the socket |localhost:|127\.|\[::1\]:")  # addresses that nothing leaves this machine for
KIBI = 1024
MILLION = 1_000_000


def plain(text: str) -> str:
    """`text` with what a terminal would obey made visible: control characters, and marks that reorder text."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text.expandtabs(4))


def one_line(text: str, width: int = 0) -> str:
    """`text` on one line, cut at `width` columns with an ellipsis (0: not cut)."""
    line = plain(" ".join(text.split()))
    return line if not width or len(line) <= width else line[: max(0, width - 1)] + "…"


def place(redacted: str) -> str:
    """A redacted URL as it is shown: user, host and database, or a file's path."""
    scheme, _, address = redacted.partition("://")
    return plain(address.removeprefix("/") if scheme.startswith("sqlite") else address.replace(":***", ""))


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


def wanted(wait: LockWait | None) -> str:
    """'access exclusive on user', or 'a lock' where it is not known which."""
    what = plain((wait.relation if wait else None) or "a lock")
    return f"{mode(wait.mode)} on {what}" if wait and wait.mode else what


def attempt(one: Attempt) -> str:
    """'attempt 1 of 6 found the lock taken; begins again in 1.4 s', or why it does not."""
    said = f"attempt {one.number} of {one.of} did not get its lock"
    if one.retry_in_ms is not None:
        return f"{said}; the run begins again in {duration(one.retry_in_ms)}"
    return f"{said}; it is not tried again, since {one.reason}"


SIGNALLED: Mapping[str, str] = {"cancel": "cancelled the query of", "terminate": "ended"}
WITHOUT_VERSION_ROW = frozenset({*SIGNALLED, "backup"})  # what is on record and is no migration


def signal(one: Signal) -> str:
    """'alice@db1 ended session 4711  mage  mage-server  10.0.3.7  idle in transaction, 6 min'."""
    return f"{one.operator} {SIGNALLED[one.action]} session {session_line(one.session)}"


def counted(made: StatementProgress) -> str:
    """'1.2 of 3.0 M rows', '12 of 40 blocks', '320 kB of 890 MB'."""
    done, total, unit = made.done, made.total, made.unit
    if unit == "bytes":
        return f"{size(done)} of {size(total)}" if total else size(done)
    if (total or done) >= MILLION:
        return f"{done / MILLION:.1f}{f' of {total / MILLION:.1f}' if total else ''} M {unit}"
    return f"{done:,}{f' of {total:,}' if total else ''} {unit}"


def share(made: StatementProgress) -> str:
    """'40 %', 'about 40 %, an estimate'; empty where nobody knows how far it has to go."""
    if not made.total:
        return ""
    percent = f"{min(100, 100 * made.done // made.total)} %"
    return f"about {percent}, an estimate" if made.estimate else percent


def doing(made: StatementProgress) -> str:
    """'building index on t'."""
    return f"{made.doing} on {one_line(made.relation)}" if made.relation else made.doing


def phase(made: StatementProgress) -> str:
    """'scanning table'; the server's 'building index: scanning table' says again what it does."""
    return (made.phase or "").removeprefix(f"{made.doing}: ")


def progress(made: StatementProgress) -> str:
    """'building index on t: 40 %, 1,200 of 3,000 blocks, scanning table'."""
    return f"{doing(made)}: {', '.join(part for part in (share(made), counted(made), phase(made)) if part)}"


def verifying(revision: str) -> str:
    """What a stamp offers to be looked at first."""
    return f"Whether the schema is what {plain(revision)} makes: magetui verify {plain(revision)}"


def connected(url: str | None, address: str | None, tls: str | None) -> str:
    """Of a server, what its redacted URL does not tell: ' at db1:5432, TLSv1.3'; nothing where it tells all."""
    if address is None:
        return ""
    told = "" if address in (url or "") else f" at {address}"
    if tls is not None:
        return f"{told}, {tls}"
    return told if NEAR.match(address) else f"{told}, without TLS"


def creating(schema: str) -> str:
    """Of a plan whose tables have no schema to go to yet."""
    return f"creates the schema {plain(schema)} first: the search_path names it, and it does not exist"


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


def current(revisions: tuple[str, ...] | None) -> str:
    """The current revision's revisions, 'nothing' for none, 'unknown' where it could not be read."""
    if revisions is None:
        return "unknown"
    return ", ".join(plain(one) for one in revisions) or "nothing"


def way(record: RunRecord, subject: str = "current revision ", *, brief: bool = False) -> str:
    """What a run did to the current revision, as it was read back: an arrow only where it moved.

    'a → b', 'current revision stayed a (wanted b)', 'current revision not read back (was a, wanted b)'; `brief`, without what was wanted.
    Of what is no migration, what it was on.
    """
    if record.verb in WITHOUT_VERSION_ROW:
        return plain(record.target_revision)
    before, wanted = current(record.current_before), plain(record.target_revision)
    if record.alive:
        return f"from {before} to {wanted}"
    if record.current_after is None:
        return f"{subject}not read back" + ("" if brief else f" (was {before}, wanted {wanted})")
    after = current(record.current_after)
    said = f"{subject}stayed {after}" if record.current_after == record.current_before else f"{before} → {after}"
    return said if brief or record.outcome == "done" or wanted == after else f"{said} (wanted {wanted})"


def run_conclusion(record: RunRecord) -> str:
    """What became of a run, in one or two sentences, from what the database says."""
    if record.outcome == "running":
        return f"Run {record.run} goes on."
    if record.verb == "backup":
        return f"A backup was made: {plain(record.target_revision)}."
    if record.verb in SIGNALLED:
        return " ".join(f"{signal(one)}." for one in record.signals)
    if record.outcome == "done":
        return f"Done. The database now says {current(record.current_after)}."
    return _why(record) if record.outcome == "refused" else f"{_why(record)} {_what_is_left(record)}"


def _why(record: RunRecord) -> str:
    """Why a run ended short, as sentences."""
    said = {
        "failed": f"It failed: {one_line(record.error or 'no reason was given')}",
        "cancelled": "It was cancelled.",
        "lock-timeout": one_line(record.error or "A lock was not to be had within the lock timeout.")
        if not record.mutex_taken and not record.attempts
        else f"A lock was not to be had within {duration(record.lock_timeout_ms)}.",
        "statement-timeout": "A statement took longer than its timeout and was ended.",
        "refused": one_line(record.error or "It was refused."),
        "lost": f"The connection to the server was lost: {one_line((record.error or '').strip().partition(chr(10))[0])}"
        if record.broke
        else f"It was lost: {one_line(record.error or 'the connection broke')}",
    }[record.outcome]
    if not said.endswith("."):
        said += "."
    if record.where and record.outcome == "failed":
        said += f" At {plain(record.where)}."
    if record.line_dropped and record.outcome == "cancelled":
        said += " The program that began it was gone, and it was to be cancelled then."
    if record.outcome == "lock-timeout" and record.attempts and record.attempts[-1].reason:
        said += f" It was not tried again, since {one_line(record.attempts[-1].reason)}."
    return said


def _what_is_left(record: RunRecord) -> str:
    """What the database says after a run that ended short."""
    if record.current_after is None and record.current_now is None:
        return "What the database says now could not be read; 'magetui diagnose' asks again."
    if record.unchanged:
        return f"The database is as it was before the run: {current(record.current_after)}."
    kept = "Part of it was committed and stays. " if record.committed and record.outcome != "lost" else ""
    now = record.current_now if record.current_after is None else record.current_after
    said = f"{kept}The database now says {current(now)}."
    if record.session_left:
        said += (
            f" Its session {record.session} is still on the server, and keeps its locks: "
            f"'magetui locks --terminate {record.session}' ends it."
        )
    return said


def local_time(stamp: str | None) -> str:
    """An ISO 8601 UTC stamp as local time: 'HH:MM:SS' today, 'MM-DD HH:MM' before."""
    from datetime import datetime

    if stamp is None:
        return "?"
    moment = datetime.fromisoformat(stamp.replace("Z", "+00:00")).astimezone()
    today = moment.date() == datetime.now(moment.tzinfo).date()
    return moment.strftime("%H:%M:%S" if today else "%m-%d %H:%M")
