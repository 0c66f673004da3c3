"""The list of sessions on the locks screen and the run screen, and the keys that act on the session at the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList

from magetui.model.sessions import PREPARED
from magetui.tui.widgets.rows import Rows
from magetui.tui.widgets.session_columns import Own, key_of, session_table

if TYPE_CHECKING:
    from magetui.engine.sessions.tree import Branch, RootOrder
    from magetui.model.plan import SignalAction
    from magetui.model.sessions import Session


class SessionRows(Rows):
    """Rows of sessions, with the keys that act on the session at the cursor. A key that can't act says why."""

    BINDINGS = [
        Binding("C", "signal('cancel')", "Cancel query", tooltip="cancel the query of the session at the cursor"),
        Binding("K", "signal('terminate')", "End session", tooltip="end the session at the cursor"),
        Binding("C", "refuse('cancel')", show=False),
        Binding("K", "refuse('terminate')", show=False),
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
        self._branches: dict[str, Branch] = {}
        self._own: Own | None = None
        self._offered = (False, False)  # whether the keys 'cancel' and 'end' act on the session at the cursor

    @property
    def chosen(self) -> Session | None:
        """The session at the cursor, or None if the keys do not act on it."""
        branch = self.chosen_branch
        is_own = branch is not None and self._own is not None and branch.session.pid == self._own.pid
        return None if branch is None or is_own else branch.session

    @property
    def chosen_branch(self) -> Branch | None:
        """The session at the cursor with its place in the tree."""
        return self._branches.get(self.selected or "") if self.is_mounted and self.display else None

    @property
    def root_blockers(self) -> int:
        """The number of sessions that block others and wait for nobody."""
        return sum(not branch.depth and branch.waiting > 0 for branch in self._branches.values())

    def show_sessions(
        self, sessions: Sequence[Session], *, own: Own | None = None, more: int = 0, order: RootOrder = "blocks"
    ) -> None:
        """Show the tree of sessions. The keys do not act on the session `own`, behind which `more` wait unlisted."""
        table = session_table(sessions, own=own, more=more, order=order)
        self._branches, self._own = {key_of(branch.session): branch for branch in table.branches}, own
        self.show(table.rows, table.heading)
        self._offer_keys()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action not in ("signal", "refuse"):
            return super().check_action(action, parameters)
        chosen = self.chosen
        return chosen is not None and can_signal(chosen, str(parameters[0])) == (action == "signal")

    def action_signal(self, action: SignalAction) -> None:
        if self.chosen is not None:
            self.post_message(self.SignalWanted(self.chosen, action, self))

    action_refuse = action_signal  # the engine objects, with the reason

    @on(OptionList.OptionHighlighted)
    def _offer_keys(self) -> None:
        """Offer the keys for the session at the cursor. The footer is drawn only if others are offered: it is long."""
        chosen = self.chosen
        offered = (False, False)
        if chosen is not None:
            offered = can_signal(chosen, "cancel"), can_signal(chosen, "terminate")
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
        self._show_count(shown)
        for index, (option, row) in enumerate(zip(list(lines.options), shown, strict=True)):
            if not (isinstance(option.prompt, Content) and option.prompt.is_same(row.content)):
                lines.replace_option_prompt_at_index(index, row.content)


def can_signal(session: Session, action: str) -> bool:
    """Return whether a key is offered for the session. A role that may not see the state may still try to cancel."""
    if session.is_process or session.pid == PREPARED:
        return False
    return action == "terminate" or not (session.state or "").startswith("idle")
