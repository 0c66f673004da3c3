"""The conclusion of a run: how it ended and what the database says afterwards, for command line, screen and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magetui.text import formats
from magetui.text import preview as previews
from magetui.text.schema_changes import left_invalid, remains

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord

WITHOUT_VERSION_ROW = frozenset({*formats.SIGNALLED, "backup"})  # recorded actions that are not migrations
LOSSES_NAMED = 3


def aim(record: RunRecord) -> str:
    """Return the verb of a record with what it was for: 'migrate to a1b2', 'clean' or 'terminate session 4711'."""
    if record.verb == "clean":
        return record.verb
    to = "" if record.verb in WITHOUT_VERSION_ROW else "to "
    return formats.plain(f"{record.verb} {to}{record.target_revision}")


def way(record: RunRecord, subject: str = "current revision ", *, brief: bool = False) -> str:
    """Return how a run changed the current revision, as read back from the database. An arrow means that it moved.

    'a → b', 'current revision stayed a (wanted b)' or 'current revision not read back (was a, wanted b)'. `brief`
    leaves out what was wanted. For an action that is not a migration, return what the action was on.
    """
    if record.verb in WITHOUT_VERSION_ROW:
        return formats.plain(record.target_revision)
    before, wanted = formats.current(record.current_before), formats.plain(record.target_revision)
    if record.alive:
        return f"from {before} to {wanted}"
    if record.current_after is None:
        return f"{subject}not read back" + ("" if brief else f" (was {before}, wanted {wanted})")
    after = formats.current(record.current_after)
    moved = record.current_after != record.current_before
    change = f"{before} → {after}" if moved else f"{subject}stayed {after}"
    return change if brief or record.outcome == "done" or wanted == after else f"{change} (wanted {wanted})"


def conclusion(record: RunRecord) -> str:
    """Return how a run ended and the current revision after it: 'Done. Current revision: a.'"""
    ending = details(record)
    if record.alive or record.verb in WITHOUT_VERSION_ROW:
        return ending
    return f"{formats.outcome(record.outcome).capitalize()}. {ending}"


def details(record: RunRecord) -> str:
    """Return the conclusion without the outcome, for a reader who sees the outcome above it."""
    if record.alive:
        return f"Run {record.run} is still running."
    if record.verb == "backup":
        return f"Backup written: {formats.plain(record.target_revision)}."
    if record.verb in formats.SIGNALLED:
        return " ".join(f"{formats.signal(sent)}." for sent in record.signals)
    if record.outcome == "done":
        reached = _reached(record, record.current_after)
        return " ".join(filter(None, (reached, _lost(record), left_invalid(record))))
    why = _why(record)
    return why if record.outcome == "refused" else " ".join(part for part in (why, _what_is_left(record)) if part)


def _reached(record: RunRecord, current: tuple[str, ...] | None) -> str:
    return f"Current revision{' then' if record.is_past else ''}: {formats.current(current)}."


def _lost(record: RunRecord) -> str:
    lost = previews.lost_rows(record.losses)
    return f"Lost, as counted before the run: {formats.some(lost, LOSSES_NAMED)}." if lost else ""


def _why(record: RunRecord) -> str:
    """Return what is known of the reason beyond the outcome, as sentences; '' if nothing is known."""
    error = formats.one_line(record.error or "")
    why = ""
    match record.outcome:
        case "failed":
            where = f" At {formats.plain(record.where)}." if record.where else ""
            why = f"{_sentence(f'Error: {error}' if error else 'The reason is unknown')}{where}{_cause(record)}"
        case "cancelled" if record.line_dropped:
            why = "The program that started the run was gone, and on-disconnect was set to cancel."
        case "deadlock":
            first = (record.error or "").strip().partition("\n")[0]
            why = f"The server ended the statement, because this run and another session waited for each other: {first}"
            why = f"{_sentence(formats.one_line(why))}{_no_retry(record)}"
        case "lock-timeout":
            why = _why_lock_timeout(record, error)
        case "refused":
            why = _sentence(error or "The reason is unknown")
        case "lost" if record.broke:
            first = (record.error or "").strip().partition("\n")[0]
            why = _sentence(f"The connection to the server was lost: {formats.one_line(first)}")
        case "lost":
            why = _sentence(error or "The connection broke")
    return why


def _cause(record: RunRecord) -> str:
    from magetui.engine.runs.causes import cause_of

    cause = cause_of(record)
    if cause is None:
        return ""
    return f" {cause.sentence}" + (f" They are: {formats.plain(cause.sql)};" if cause.sql else "")


def _why_lock_timeout(record: RunRecord, error: str) -> str:
    waited_for_mutex = not record.mutex_taken and not record.attempts
    limit = "the lock timeout" if waited_for_mutex else formats.duration(record.lock_timeout_ms)
    why = _sentence((waited_for_mutex and error) or f"Could not get the lock within {limit}")
    return f"{why}{_no_retry(record)}"


def _no_retry(record: RunRecord) -> str:
    reason = record.attempts[-1].reason if record.attempts else None
    return f" {_sentence(f'No retry: {formats.one_line(reason)}')}" if reason else ""


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _what_is_left(record: RunRecord) -> str:
    """Return the state of the database after a run that did not end as planned."""
    if record.current_after is None and record.current_now is None:
        return "The current revision could not be read afterwards: 'magetui diagnose' reads it again."
    now = record.current_now if record.current_after is None else record.current_after
    if record.unchanged:
        return f"The database is unchanged. {_reached(record, now)}"
    state = remains(record, _reached(record, now))
    if record.session_left:
        state += (
            f" Session {record.session} of the run is still on the server and keeps its locks. Until it ends, it may "
            f"still commit: 'magetui runs {record.run}' looks again, and 'magetui locks --terminate {record.session}' "
            "ends it."
        )
    return state
