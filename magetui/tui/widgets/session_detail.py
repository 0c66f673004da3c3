"""One session in full: a few lines below the list, and every fact on a screen of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.model.sessions import PREPARED, Session
from magetui.text import formats, wait_queue
from magetui.tui.theme import QUIET, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.session_columns import age, wanted_tables
from magetui.tui.widgets.sql_text import sql_lines

if TYPE_CHECKING:
    from magetui.engine.sessions.tree import Branch

LABEL = 12  # columns of a label and the gap behind it
MOST_HELD = 8  # tables whose locks are named
FRACTION = re.compile(r"\.\d+")


def detail_lines(branch: Branch, sessions: Sequence[Session], width: int, height: int) -> list[Content]:
    """Return a session's last query, its locks, its client, and what ending it changes, in at most `height` lines.

    The query takes the lines that the other facts leave, but at least one.
    """
    rest = [line for label, text, style in _facts(branch, sessions) for line in _fact(label, text, width, style)]
    session = branch.session
    query = _query(session, width, max(1, height - len(rest)))
    return [*query, *rest][:height]


def _query(session: Session, width: int, most: int) -> list[Content]:
    """Return the query in at most `most` lines, as far as it fits; nothing if there is none."""
    sql = re.sub(r"\s+", " ", session.query or "").strip()
    if not sql:
        return []
    sql = sql[: (most + 1) * width]
    label = f"{'query' if session.state == 'active' else 'last query':<{LABEL}}"
    first, *more = sql_lines(sql, width - LABEL)
    lines = [Content.assemble((label, QUIET), first), *(Content.assemble(" " * LABEL, line) for line in more)]
    if len(lines) <= most:
        return lines
    last = lines[most - 1].truncate(width - len(" … enter: all"))
    return [*lines[: most - 1], Content.assemble(last, (" … enter: all", QUIET))]


def _fact(label: str, text: str, width: int, style: str = "") -> list[Content]:
    return hanging(f"{label:<{LABEL}}", text, width, style)


def _facts(branch: Branch, sessions: Sequence[Session]) -> Iterator[tuple[str, str, str]]:
    """Yield (label, text, style) for each fact but the query.

    Each session has the same facts on the same lines where possible: only changed cells are sent to the terminal.
    """
    from magetui.text.consent import WRITTEN
    from magetui.text.terminal import holds, waits

    session = branch.session
    held = holds(session, sorted(wanted_tables(sessions)), MOST_HELD).removeprefix("holds ")
    is_waiting, is_holder = bool(session.blocked_by or session.waits_for), bool(session.holds or session.has_mutex)
    if is_waiting:
        yield "wait", waits(branch, age(session.query_ms)), ""
    elif is_holder:
        yield "holds", held, ""
    since = f", since {FRACTION.sub('', session.began)}" if session.began else ""
    user = f"{formats.one_line(session.user)} " if session.user else ""
    if session.pid != PREPARED:
        yield "client", f"{user}{_origin(session)}{since}", ""
    yield "ending it", " ".join(wait_queue.effect(session, sessions, "Frees")) or "Nobody waits for it now.", WARNING
    yield "", _cost(session), WARNING
    if session.transaction_ms and session.has_written is not None and session.pid != PREPARED:
        yield "", WRITTEN[session.has_written], WARNING
    if is_waiting and is_holder:
        yield "holds", held, ""


def _origin(session: Session) -> str:
    """Return 'from 10.0.3.7'. A role that does not see the state does not see the address either."""
    if session.client is None and session.state is None:
        return "from where is not shown to this role"
    return f"from {formats.one_line(session.client or 'this machine')}"


def _cost(session: Session) -> str:
    """Return what ending the session costs, or why it cannot be ended from here."""
    from magetui.engine.sessions.listing import prepared_transaction_message, process_message
    from magetui.text.consent import signal_losses

    if session.pid == PREPARED:
        return prepared_transaction_message("ended from here")
    return process_message(session) if session.is_process else signal_losses(session, "terminate")[0]


def _transaction(session: Session) -> str:
    wrote = {True: ", has written", False: ", has written nothing so far", None: ""}[session.has_written]
    return f"open for {formats.duration(session.transaction_ms)}{wrote}" if session.transaction_ms else ""


def facts(session: Session) -> list[Content]:
    """Return a line for every fact about a session, and the complete query at the end."""
    wait = session.waits_for
    queued = set(session.queued_behind)
    held = ["the migration lock"] if session.has_mutex else []
    held += [f"{formats.mode(lock.mode)} on {lock.relation}" for lock in session.holds]
    rows: list[tuple[str, str]] = [
        ("session", str(session.pid)),
        ("user", session.user or "none: a process of the server itself"),
        ("application", session.application or "not named"),
        ("client", session.client or ("not shown to this role" if session.state is None else "local")),
        ("started", session.began or ""),
        ("state", session.state or "not shown to this role"),
        ("transaction", _transaction(session)),
        ("waits for", f"{formats.mode(wait.mode)} on {wait.relation or 'a lock'}".removeprefix(" on ") if wait else ""),
        ("blocked by", ", ".join(str(pid) for pid in session.blocked_by if pid not in queued)),
        ("queues behind", ", ".join(map(str, session.queued_behind))),
        *(("" if index else "holds", lock) for index, lock in enumerate(held)),
    ]
    lines = [Content.assemble((f"{name:<14}", QUIET), formats.one_line(value)) for name, value in rows if value]
    if session.query:
        running = "query" if session.state == "active" else "last query"
        since = f"{age(session.query_ms)}   " if session.state == "active" and session.query_ms is not None else ""
        lines += [Content(""), Content.styled(f"{running}   {since}".rstrip(), QUIET)]
        lines += [Content(formats.plain(line)) for line in session.query.strip().splitlines()]
    return lines
