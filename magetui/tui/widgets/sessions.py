"""Sessions on the locks screen and on the run screen: the wait queue as a tree, one session in full, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList

from magetui.text import formats
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.engine.sessions.tree import Branch
    from magetui.model.plan import SignalAction
    from magetui.model.sessions import Session

GAP = 2
NARROWEST = 6  # columns that every cell keeps
LEAST_QUERY = 12  # columns; with less room the query is left out
DEEPEST = 5  # the deepest level that is indented further
UNSEEN = "not shown"  # this role may not see the state


class SessionRows(Rows):
    """Rows of sessions, with the keys that act on the session at the cursor."""

    BINDINGS = [
        Binding("c", "signal('cancel')", "Cancel query", tooltip="cancel the query of the session at the cursor"),
        Binding("t", "signal('terminate')", "End session", tooltip="end the session at the cursor"),
    ]

    @dataclass
    class SessionOpened(Message):
        """Enter was pressed on a session."""

        session: Session

    @dataclass
    class SignalWanted(Message):
        """The operator wants to cancel a session's query or to end the session, and has not consented yet."""

        session: Session
        action: SignalAction
        rows: SessionRows

    class Signalled(Message):
        """The program tried to cancel a query or to end a session, and has read back the effect."""

    def __init__(self, *, id: str, empty: str = "") -> None:
        super().__init__(id=id, empty=empty)
        self._sessions: dict[str, Session] = {}
        self._offered = (False, False)  # whether the keys act on the session at the cursor, and whether it has a query

    @property
    def chosen(self) -> Session | None:
        """The session at the cursor, or None if the keys do not act on it."""
        return self._sessions.get(self.selected or "") if self.is_mounted and self.display else None

    def show_sessions(self, sessions: Sequence[Session], *, own: Own | None = None, more: int = 0) -> None:
        """Show the tree of `session_rows`. The keys do not act on the session `own`."""
        self._sessions = {key_of(session): session for session in sessions if own is None or session.pid != own.pid}
        self.show(lambda width: session_rows(sessions, width, own=own, more=more))
        self._moved()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action != "signal":
            return super().check_action(action, parameters)
        return self.chosen is not None and (parameters != ("cancel",) or runs_query(self.chosen))

    def action_signal(self, action: SignalAction) -> None:
        if self.chosen is not None:
            self.post_message(self.SignalWanted(self.chosen, action, self))

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        """Offer the keys for the session at the cursor. The footer is drawn only if others are offered: it is long."""
        chosen = self.chosen
        offered = chosen is not None, chosen is not None and runs_query(chosen)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    @on(Rows.Opened)
    def _opened_session(self, event: Rows.Opened) -> None:
        event.stop()
        if self.chosen is not None:
            self.post_message(self.SessionOpened(self.chosen))

    def _fill(self) -> None:
        """Draw only the rows whose text changed, while the list has the same sessions."""
        lines, shown = self.lines, self._shown()
        if not shown or [option.id for option in lines.options] != [row.key for row in shown]:
            super()._fill()
            return
        for index, (option, row) in enumerate(zip(list(lines.options), shown, strict=True)):
            if not (isinstance(option.prompt, Content) and option.prompt.is_same(row.content)):
                lines.replace_option_prompt_at_index(index, row.content)


@dataclass(frozen=True, slots=True)
class Own:
    """The run's own session in a tree: its pid, and the name that is shown instead."""

    pid: int
    name: str


def key_of(session: Session) -> str:
    """Return a row's key. It has the start time, since a pid may later belong to another session."""
    return f"{session.pid} {session.began}"


def session_rows(sessions: Sequence[Session], width: int, *, own: Own | None = None, more: int = 0) -> list[Row]:
    """Return the tree of sessions for `width` columns. Each session has two aligned lines,
    or more if the facts of the second are too long for it.

    The first line says who the session is. The second line says how many sessions it blocks, what it waits for or
    holds, and as much of its query as fits. The session `own` is shown by its name. `more` is the number of sessions
    that wait behind `own` and are not in `sessions`.
    """
    from magetui.engine.sessions import tree
    from magetui.text.terminal import joints

    branches = _counting(tree.wait_tree(sessions), own, more)
    wanted = {session.waits_for.relation for session in sessions if session.waits_for and session.waits_for.relation}
    lines = joints(branches, DEEPEST)
    cells = [_cells(branch.session, joint, own) for branch, joint in zip(branches, lines, strict=True)]
    widths = _widths([line for line in cells if len(line) > 1], width)
    rows = []
    for branch, joint, line in zip(branches, lines, cells, strict=True):
        session = branch.session
        who = (" " * GAP).join(fitted(cell, room) for cell, room in zip(line, widths, strict=False)) if line[1:] else ""
        head = Content.styled(line[0], STRONG) if own and session.pid == own.pid else Content(who.rstrip())
        indent = len(joint) + 4
        under = Content(" " * indent)
        content = Content("\n").join(
            [head, *(under + line for line in _second(branch, sorted(wanted), width - indent))]
        )
        rows.append(Row(key_of(session), content, f"{content.plain} {session.query or ''}"))
    return rows


def _counting(branches: Sequence[Branch], own: Own | None, more: int) -> Sequence[Branch]:
    """Return the tree with `more` added to the waiters of the root blocker of `own`."""
    mine = next((index for index, branch in enumerate(branches) if own and branch.session.pid == own.pid), None)
    if not more or mine is None:
        return branches
    root = max(index for index, branch in enumerate(branches[: mine + 1]) if not branch.depth)
    counted = replace(branches[root], waiting=branches[root].waiting + more)
    return [*branches[:root], counted, *branches[root + 1 :]]


def _cells(session: Session, joint: str, own: Own | None) -> list[str]:
    if own is not None and session.pid == own.pid:
        return [f"{joint}{own.name}"]
    state = formats.one_line(session.state) if session.state else UNSEEN
    doing = ", ".join(part for part in (state, age(session.transaction_ms)) if part)
    named = (formats.one_line(text or "") for text in (session.user, session.application))
    return [f"{joint}{session.pid}", *named, formats.one_line(session.client or "local"), doing]


def _widths(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the columns' widths: as wide as their cells, and if that is too much, the widest column is cut first.

    The first column is never cut, and the state only if the others are at `NARROWEST`.
    """
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    while widths and sum(widths) + GAP * (len(widths) - 1) > width:
        application, client, state = 2, 3, 4
        widest = max((application, client, 1), key=lambda column: widths[column])
        if widths[widest] <= NARROWEST:
            widest = state
        if widths[widest] <= NARROWEST:
            break
        widths[widest] -= 1
    return widths


def _second(branch: Branch, wanted: Sequence[str], width: int) -> list[Content]:
    """Return the lines below the first: what a session blocks, waits for or holds, and a part of its query."""
    from magetui.text.terminal import holds, waits

    session = branch.session
    parts: list[tuple[str, str]] = []
    if branch.waiting and not branch.depth:
        parts.append((f"BLOCKS {branch.waiting}", WARNING))
    if session.blocked_by or session.waits_for:
        parts.append((waits(branch, age(session.query_ms)), ""))
    elif session.holds or session.has_mutex:
        on_wanted = sum(relation in wanted for relation in {held.relation for held in session.holds})
        parts.append((holds(session, wanted, most=min(2, on_wanted) or 1), ""))
    room = width - sum(cell_len(text) + GAP for text, _style in parts)
    if session.query and room >= LEAST_QUERY:
        parts.append((formats.one_line(session.query, room), QUIET))
    if room + GAP < 0:  # too long for one line
        return [line for text, style in parts for line in hanging("", text, width, style)]
    return [Content(" " * GAP).join(Content.styled(text, style) for text, style in parts)] if parts else []


def runs_query(session: Session) -> bool:
    """Return whether the session may run a query, which is not known if this role may not see its state."""
    return not (session.state or "").startswith("idle")


def age(milliseconds: int | None) -> str:
    """Return '12 s', '6 min' or '3 h 20 min'. This is coarse, so that the list is still while nothing happens."""
    if milliseconds is None:
        return ""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else formats.duration(seconds // 60 * 60_000)


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
        ("client", session.client or "local"),
        ("started", session.began or ""),
        ("state", session.state or "not shown to this role"),
        ("transaction", f"open for {formats.duration(session.transaction_ms)}" if session.transaction_ms else ""),
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
