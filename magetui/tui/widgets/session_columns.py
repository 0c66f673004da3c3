"""The wait queue as a table: a line for each session, with the tree in its first column.

A narrow terminal gets fewer columns. The pid, the state and the table of the lock are never cut. The columns of numbers
have fixed widths, so that nothing moves when a number gets another digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from magetui.model.lock_modes import lock_mode
from magetui.text import formats
from magetui.tui.theme import GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.engine.sessions.tree import Branch, RootOrder
    from magetui.model.sessions import Session

PID, USER, APPLICATION, CLIENT, STATE = "PID", "USER", "APPLICATION", "CLIENT", "STATE"
TRANSACTION, WAIT, SINCE, BLOCKS, LOCK = "TXN", "WAIT", "SINCE", "BLOCKS", "LOCK"
# The columns between the pid and the lock. The first layout that leaves the lock enough room is used. SINCE is the time
# of the wait, or else of the transaction.
LAYOUTS = (
    (USER, APPLICATION, CLIENT, STATE, TRANSACTION, WAIT, BLOCKS),
    (USER, APPLICATION, STATE, TRANSACTION, WAIT, BLOCKS),
    (APPLICATION, STATE, TRANSACTION, WAIT, BLOCKS),
    (APPLICATION, STATE, SINCE, BLOCKS),
    (APPLICATION, STATE, SINCE),
    (APPLICATION, STATE),
    (STATE,),
)
NARROW = 3  # from this layout on, the lock's mode may be cut
OF_PROCESSES = frozenset({USER, APPLICATION, STATE, BLOCKS})  # SQLite knows neither clients nor times
NUMBERS = frozenset({TRANSACTION, WAIT, SINCE, BLOCKS})
NUMBER_WIDTH = 6  # '59 min'
PID_WIDTH = 8  # '├─ 27899': the first waiter moves nothing
STATE_WIDTH = 11  # 'idle in txn'
SHRUNK: Mapping[str, int] = {CLIENT: 9, USER: 8, APPLICATION: 11}  # the widths to which long texts are cut
LOCK_ROOM = 32  # 'generic_job ACCESS EXCLUSIVE +1'
LOCK_ROOM_NARROW = 24  # longer ones are on lines of their own, so that one long name does not cost all rows a column
BEFORE_LAYOUT = 76  # columns, while the list has no width yet
GAP = 2
DEEPEST, DEEPEST_NARROW, WIDE = 5, 2, 100  # the deepest level that is indented further, below and from `WIDE` columns
LEAST_MODE = 4  # characters of a lock mode that say something
NONE = "-"
THIS_RUN = "this run"
STATES: Mapping[str, str] = {
    "idle in transaction": "idle in txn",
    "idle in transaction (aborted)": "aborted txn",
    "fastpath function call": "fastpath",
    # A process of SQLite that holds a lock may be asleep.
    "writing": "holds a lock",
    "reading": "holds a lock",
}
WAITING, UNSEEN = "waiting", "not shown"  # this role may not see the state
STYLES: Mapping[str, str] = {"active": GOOD, "idle in txn": WARNING, "aborted txn": WARNING, "idle": QUIET}


@dataclass(frozen=True, slots=True)
class Own:
    """The run's own session in a tree, which is shown as 'this run'. The keys do not act on it."""

    pid: int
    has_pid: bool = True  # SQLite has no sessions, so the run has no number


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock that a session waits for or holds: its table, its mode, and '(queued)' or the number of other locks."""

    table: str = ""
    mode: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        return _joined(self.table, self.mode, self.note)

    def fitted(self, room: int) -> str:
        """Return the lock in `room` columns: the mode is cut first. Returns '' if not even the table fits."""
        if cell_len(self.text) <= room:
            return self.text
        short = self.mode.replace("EXCLUSIVE", "EXCL")
        left = room - cell_len(_joined(self.table, self.note)) - 1
        modes = [short, *([formats.one_line(short, left)] if left >= LEAST_MODE else []), ""]
        texts = [_joined(self.table, mode, self.note) for mode in modes]
        return next((text for text in [*texts, self.table] if cell_len(text) <= room), "")


@dataclass(frozen=True, slots=True)
class Line:
    """The cells of a session, the lock apart."""

    branch: Branch
    cells: Mapping[str, str]
    lock: Lock
    is_own: bool


@dataclass(frozen=True, slots=True)
class SessionTable:
    """The sessions as a table for any width."""

    branches: Sequence[Branch]
    own: Own | None = None
    _made: dict[int, Sequence[Line]] = field(default_factory=dict, compare=False)  # by the deepest level

    def heading(self, width: int) -> str:
        """Return the names of the columns."""
        width = width or BEFORE_LAYOUT
        columns = self._columns(self._lines(_deepest(width)), width)
        return (" " * GAP).join([*(_cell(name, name, room) for name, room in columns.items()), LOCK])

    def rows(self, width: int) -> list[Row]:
        """Return a row for each session. A lock whose table does not fit is on lines of its own."""
        width = width or BEFORE_LAYOUT
        lines = self._lines(_deepest(width))
        columns = self._columns(lines, width)
        return [_row(line, columns, width) for line in lines]

    def _lines(self, deepest: int) -> Sequence[Line]:
        """Return the cells, made once for the heading and the rows."""
        if deepest not in self._made:
            self._made[deepest] = self._make_lines(deepest)
        return self._made[deepest]

    def _make_lines(self, deepest: int) -> Sequence[Line]:
        from magetui.text.terminal import joints

        wanted = wanted_tables([branch.session for branch in self.branches])
        drawn = zip(self.branches, joints(self.branches, deepest), strict=True)
        return [_line(branch, joint, self.own, wanted) for branch, joint in drawn]

    def _columns(self, lines: Sequence[Line], width: int) -> dict[str, int]:
        """Return the widths of the columns before the lock."""
        longest = {name: max([cell_len(line.cells[name]) for line in lines], default=0) for name in (PID, *SHRUNK)}
        state = max([STATE_WIDTH, *(cell_len(line.cells[STATE]) for line in lines)])
        least_lock = max([cell_len(_joined(line.lock.table, line.lock.note)) for line in lines], default=0)
        are_processes = any(line.branch.session.is_process for line in lines)
        columns: dict[str, int] = {}
        for number, layout in enumerate(LAYOUTS):
            columns = {PID: max(PID_WIDTH, longest[PID])}
            for name in layout:
                if not are_processes or name in OF_PROCESSES:
                    columns[name] = NUMBER_WIDTH if name in NUMBERS else max(len(name), longest.get(name, state))
            for name, least in SHRUNK.items():
                if name in columns:
                    columns[name] -= max(0, min(LOCK_ROOM - _room(columns, width), columns[name] - least))
            if _room(columns, width) >= (min(least_lock, LOCK_ROOM_NARROW) if number >= NARROW else LOCK_ROOM):
                break
        return columns


def _deepest(width: int) -> int:
    return DEEPEST if width >= WIDE else DEEPEST_NARROW


def session_table(
    sessions: Sequence[Session], *, own: Own | None = None, more: int = 0, order: RootOrder = "blocks"
) -> SessionTable:
    """Return the table of sessions. `more` is the number of sessions that wait behind `own` and are not in the list."""
    from magetui.engine.sessions import tree

    return SessionTable(_counting(tree.wait_tree(sessions, order), own, more), own)


def wanted_tables(sessions: Sequence[Session]) -> frozenset[str]:
    """Return the tables that some session waits for, also for a row of them."""
    return frozenset(
        session.waits_for.relation.removeprefix("a row of ")
        for session in sessions
        if session.waits_for and session.waits_for.relation
    )


def key_of(session: Session) -> str:
    """Return a row's key. It has the start time, since a pid may later belong to another session."""
    return f"{session.pid} {session.began}"


def state_of(session: Session) -> str:
    """Return the state in a word or two: 'waiting', 'active', 'idle in txn', 'holds a lock' …"""
    if session.blocked_by or session.waits_for:
        return WAITING
    return STATES.get(session.state or "", formats.one_line(session.state or UNSEEN, STATE_WIDTH))


def age(milliseconds: int | None) -> str:
    """Return '12 s', '6 min' or '3 h 20 min'. This is coarse, so that the list is still while nothing happens."""
    if milliseconds is None:
        return ""
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else formats.duration(seconds // 60 * 60_000)


def short_age(milliseconds: int | None) -> str:
    """Return '12 s', '6 min', '3 h' or '4 d', in at most `NUMBER_WIDTH` columns."""
    if milliseconds is None or milliseconds < 3_600_000:
        return age(milliseconds) or NONE
    hours = milliseconds // 3_600_000
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"


def _counting(branches: Sequence[Branch], own: Own | None, more: int) -> Sequence[Branch]:
    """Return the tree with `more` added to the waiters of the root blocker of `own`."""
    mine = next((index for index, branch in enumerate(branches) if own and branch.session.pid == own.pid), None)
    if not more or mine is None:
        return branches
    root = max(index for index, branch in enumerate(branches[: mine + 1]) if not branch.depth)
    counted = replace(branches[root], waiting=branches[root].waiting + more)
    return [*branches[:root], counted, *branches[root + 1 :]]


def _line(branch: Branch, joint: str, own: Own | None, wanted: frozenset[str]) -> Line:
    from magetui.engine.sessions.queue import waited_ms

    session = branch.session
    is_own = own is not None and session.pid == own.pid
    waits = state_of(session) == WAITING
    transaction, wait = short_age(session.transaction_ms), short_age(waited_ms(session)) if waits else NONE
    cells = {
        PID: f"{joint}{THIS_RUN if own and is_own and not own.has_pid else session.pid}",
        USER: formats.one_line(session.user or ""),
        APPLICATION: formats.one_line(session.application or ""),
        CLIENT: formats.one_line(session.client or "local"),
        STATE: state_of(session),
        TRANSACTION: transaction,
        WAIT: wait,
        SINCE: wait if waits else transaction,
        BLOCKS: str(branch.waiting) if branch.waiting else NONE,
    }
    if own and is_own:
        cells |= {APPLICATION: THIS_RUN if own.has_pid else "", CLIENT: ""}
    return Line(branch, cells, _lock(branch, wanted), is_own)


def _lock(branch: Branch, wanted: frozenset[str]) -> Lock:
    """Return the lock that a session waits for, or else the lock that it holds and that blocks others most."""
    session = branch.session
    if session.blocked_by or session.waits_for:
        wait = session.waits_for
        table = formats.one_line((wait.relation if wait else None) or "a lock")
        for words in ("the end of ", "the ", "a "):
            table = table.removeprefix(words)
        note = "(deadlock)" if branch.circle else "(queued)" if branch.queued else ""
        return Lock(table, formats.one_line((wait.mode if wait else None) or ""), note)
    if not session.holds:
        return Lock("migration lock") if session.has_mutex else Lock()
    first = max(session.holds, key=lambda held: (held.relation in wanted, _strength(held.mode)))
    others = len({held.relation for held in session.holds}) - 1 + session.has_mutex
    return Lock(formats.one_line(first.relation), formats.one_line(first.mode), f"+{others}" if others else "")


def _strength(mode: str) -> int:
    """Return a number that is higher for a lock that blocks more: of PostgreSQL, or of SQLite's READ and WRITE."""
    known = lock_mode(mode)
    return known.strength if known is not None else int(mode == "WRITE")


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _room(columns: Mapping[str, int], width: int) -> int:
    """Return how many columns are left for the lock."""
    return width - sum(columns.values()) - GAP * len(columns)


def _cell(name: str, text: str, room: int) -> str:
    return f"{text:>{room}}" if name in NUMBERS else fitted(text, room)


def _row(line: Line, columns: Mapping[str, int], width: int) -> Row:
    session = line.branch.session
    lock = line.lock.fitted(_room(columns, width))
    cells = [_cell(name, line.cells[name], room) for name, room in columns.items()]
    content = Content((" " * GAP).join([*cells, lock]).rstrip())
    styles = {STATE: STYLES.get(line.cells[STATE], "")}
    if line.branch.waiting and not line.branch.depth:
        styles[BLOCKS] = f"{STRONG} {WARNING}"
    at = 0
    for name, cell in zip(columns, cells, strict=True):
        if styles.get(name):
            content = content.stylize(styles[name], at, at + len(cell))
        at += len(cell) + GAP
    if line.lock.table and not lock:
        content = Content("\n").join([content, *hanging("    ", line.lock.text, width)])
    content = content.stylize(STRONG) if line.is_own else content
    search = f"{content.plain} {line.lock.text} {session.query or ''}"
    return Row(key_of(session), content, search, str(session.pid))
