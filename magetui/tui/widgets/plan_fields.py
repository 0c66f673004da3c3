"""The fields of a plan on one line: its revision, the limits of the run, and what the run does if SSH drops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static

from magetui.tui.widgets.fields import OptionField, lock_timeout_ms, retries_of

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.engine.runs.start import Limits
    from magetui.model.plan import OnDisconnect

LEFT = {"continue": "run on", "cancel": "cancel"}  # what a run does then


class PlanFields(Horizontal):
    """The fields start with the configured values. `takes_revision` is False if the schema determines the revision."""

    def __init__(self, revision: str, settings: Settings, *, takes_revision: bool) -> None:
        super().__init__(classes="fields")
        self._first_revision = revision
        self._settings = settings
        self._takes_revision = takes_revision
        self._on_disconnect: OnDisconnect = settings.on_disconnect

    def compose(self) -> ComposeResult:
        label = Static("revision ", markup=False, classes="label")
        revision = OptionField(self._first_revision, id="revision")
        label.display = revision.display = self._takes_revision
        yield from (label, revision)
        yield Static("  lock timeout ", markup=False, classes="label")
        yield OptionField(f"{self._settings.lock_timeout_seconds:g}", id="timeout")
        yield Static(" s retries ", markup=False, classes="label")
        yield OptionField(str(self._settings.lock_retries), id="retries")
        yield Static(self._disconnect, id="disconnect", markup=False, classes="label")

    @property
    def first(self) -> Input:
        """The first field that is shown."""
        return self.query_one("#revision" if self._takes_revision else "#timeout", Input)

    @property
    def revision(self) -> str:
        return self.query_one("#revision", Input).value.strip()

    def limits(self) -> Limits:
        """Return the limits of the run. Raises `ArgumentTypeError` with a sentence if a field is wrong."""
        from magetui.engine.runs.start import Limits
        from magetui.model.server import Timeouts

        lock_ms = lock_timeout_ms(self.query_one("#timeout", Input).value.strip())
        retries = retries_of(self.query_one("#retries", Input).value.strip())
        settings = self._settings
        timeouts = Timeouts(lock_ms=lock_ms, statement_ms=round(settings.statement_timeout_seconds * 1000))
        return Limits(timeouts, retries, self._on_disconnect, settings.retention, settings.notified)

    def let_leave(self, *, can_leave: bool) -> None:
        """Let escape leave a field, if there is a plan to return to."""
        for field in self.query(OptionField):
            field.can_leave = can_leave

    def toggle_disconnect(self) -> None:
        self._on_disconnect = "continue" if self._on_disconnect == "cancel" else "cancel"
        self.query_one("#disconnect", Static).update(self._disconnect)

    @property
    def _disconnect(self) -> str:
        return f"  if SSH drops: {LEFT[self._on_disconnect]}"
