"""The plan screen: what a verb would do. It asks for consent, and the default is no."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from magetui.config.targets import named_target
from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.text.consent import plan_consent
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, STRONG, WARNING
from magetui.tui.widgets.fields import Field, lock_timeout_ms
from magetui.tui.widgets.plan_lines import PlanFacts, plan_lines
from magetui.tui.widgets.question import CHOICE, Question
from magetui.tui.widgets.scroll import END_KEYS, LINE_KEYS, PAGE_KEYS
from magetui.tui.widgets.verification import VerdictView
from magetui.verbs import count, verb

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.engine.repair.plan import InDoubt
    from magetui.engine.runs.start import Limits
    from magetui.engine.schema.snapshot import Reading
    from magetui.model.plan import ChangeVerb, OnDisconnect, Plan


WHICH_REVISION = (
    "Which revision is the database at? Type its id, or a unique part of the id. With a wrong revision, Alembic skips "
    "operations that are missing, or repeats operations that were run. e on the main screen shows which revision the "
    "schema matches."
)


class PlanScreen(OverScreen):
    NAME = "Plan"
    ABOUT = (
        "What the verb would do from the present state: its locks and the data loss, its steps, the SQL that Alembic "
        "can render beforehand, and the sessions that block it now. Change the revision or the lock timeout in their "
        "fields and press enter to plan again. Nothing changes before you consent. If data may be lost, you must type "
        "the database's name first."
    )
    BINDINGS = [
        Binding("n", "refuse", "No"),
        Binding("y", "consent", "Yes"),
        Binding("e", "edit", "Edit"),
        Binding("i", "in_doubt", "Doubt", tooltip="run or skip the operations that may have been run already"),
        Binding("o", "on_disconnect", "SSH", tooltip="continue or cancel the run if SSH disconnects"),
        Binding("v", "verify", "Verify", tooltip="replay the revision and compare it with the live schema"),
        Binding("l", "app.locks", "Locks"),
        Binding("B", "app.backup", "Back up", tooltip="write a backup first"),
        *LINE_KEYS,
        *END_KEYS,
        *PAGE_KEYS,
    ]
    SCROLLED = "#plan-body"

    def __init__(self, verb: ChangeVerb, title: str, revision: str, replace_unknown: str | None = None) -> None:
        super().__init__()
        self._verb = verb
        self._title = title
        self._revision = revision
        self._replace_unknown = replace_unknown
        self._plan: Plan | None = None
        self._request = 0  # the number of the latest request; answers to earlier requests are ignored
        self._facts = PlanFacts()
        self._on_disconnect: OnDisconnect = "continue"  # the configured value follows in `on_mount`
        self._in_doubt: InDoubt | None = None
        self._yes_shown = False

    def compose_body(self) -> ComposeResult:
        with Horizontal(classes="fields"):
            revision = Static("revision ", markup=False, classes="label"), Field(self._revision, id="revision")
            for widget in revision:
                widget.display = verb(self._verb).takes_revision  # the schema determines their revision
                yield widget
            yield Static("  lock timeout ", markup=False, classes="label")
            yield Field(f"{self.magetui.settings.lock_timeout_seconds:g}", id="timeout")
            yield Static(" s  retries ", markup=False, classes="label")
            yield Field(str(self.magetui.settings.lock_retries), id="retries")
        with VerticalScroll(id="plan-body"):
            yield Static("planning …", id="plan-text", markup=False)
            yield VerdictView("v again consents. The default is no.", id="verdict")
        yield Question()
        with Horizontal(classes="consent"):
            name = Field(id="name")
            name.display = False
            yield name
            yield Button("No", id="no", compact=True)
            yield Button(self._title, id="yes", compact=True, disabled=True)

    def on_mount(self) -> None:
        self.entitle((f" {self._title}", STRONG), f"   {self.magetui.database_label}")
        self.query_one("#no", Button).focus()
        self._on_disconnect = self.magetui.settings.on_disconnect
        if self._verb == "stamp" and not self._revision:
            self._drop_plan(WHICH_REVISION)
            self._ask("Type the revision and press enter to plan for it.")
            self.query_one("#revision", Input).focus()
        else:
            self._request_plan()

    # -- planning

    def _request_plan(self) -> None:
        self._request += 1
        self._make_plan(self._request, self._revision)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _make_plan(self, request: int, revision: str) -> None:
        load_engine()
        from magetui.engine import plan
        from magetui.engine.runs import follow
        from magetui.engine.schema.snapshot import open_reading
        from magetui.engine.sessions import listing

        with open_reading(self.magetui.open_workspace()) as reading:
            workspace = reading.workspace
            try:
                made = plan.make_plan(reading, self._verb, revision or None, self._replace_unknown, self._in_doubt)
                sessions = listing.shown_sessions(workspace, reading.overview.sessions)
                holders = tuple((session.pid, formats.session_line(session)) for session in sessions if session.holds)
                steps = [(step.revision, step.direction) for step in made.steps]
                facts = PlanFacts(holders, follow.earlier_steps(self.magetui.environment, steps))
                if made.verb == "stamp" and not made.empty:  # consent to a stamp needs the doubts first
                    facts = replace(facts, **_preview(reading, made))
            except MagetuiError as error:
                self.call_later(self._failed, request, error.message)
                return
            named = named_target(self.magetui.settings.targets, workspace.selection, workspace.target.redacted)
            self.call_later(self._planned, request, made, facts, named)
            if made.empty:
                return
            if made.verb != "stamp":
                self.call_later(self._learned, request, **_preview(reading, made))
            try:
                self.call_later(self._learned, request, steps=plan.render_plan(reading, made))
            except MagetuiError as error:
                self.call_later(self._learned, request, sql_problem=error.message)

    def _failed(self, request: int, problem: str) -> None:
        if request == self._request:
            heading = f"Cannot {self._title.lower()}: "
            self.query_one("#plan-text", Static).update(Content.assemble((heading, CRITICAL), problem))
            self._ask("")

    def _planned(self, request: int, plan: Plan, facts: PlanFacts, named: NamedTarget | None) -> None:
        if request != self._request:
            return
        self._plan, self._facts = plan, facts
        self._describe()
        consent = plan_consent(plan, named, facts.preview)
        if plan.empty:
            self._ask("There is nothing to do.")
        elif self.magetui.selection.read_only:
            self._ask("--read-only is set: magetui shows the plan and changes nothing.", WARNING)
        elif plan.forbidden is not None:
            self._ask(f"This cannot be done here. {plan.forbidden}", CRITICAL)
        elif consent.name is not None:
            self.query_one("#name", Input).display = True
            self._ask(consent.prompt, WARNING)
        else:
            self.query_one("#yes", Button).disabled = False
            self._ask(f"{consent.prompt} {CHOICE}")

    def _learned(self, request: int, **facts: Any) -> None:
        """Show more facts: `facts` are fields of `PlanFacts`."""
        if request == self._request:
            self._facts = replace(self._facts, **facts)
            self._describe()

    def _describe(self) -> None:
        if self._plan is not None:
            width = max(30, self.size.width - 6)
            lines = plan_lines(self._plan, self._facts, self._on_disconnect, width)
            self.query_one("#plan-text", Static).update(lines)

    # -- consent

    def _ask(self, question: str, style: str = "") -> None:
        self.query_one(Question).ask(question, style)
        if self._yes_shown != self._can_be_consented_to:  # drawing the footer is too slow for every typed key
            self._yes_shown = self._can_be_consented_to
            self.refresh_bindings()

    @on(Input.Changed, "#revision")
    def _revision_edited(self, event: Input.Changed) -> None:
        if event.value.strip() == self._revision:
            return
        self._revision = event.value.strip()
        self._drop_plan("There is no plan for this revision yet.")
        self._ask("Press enter to plan for this revision.")

    @on(Input.Submitted, "#revision, #timeout, #retries")
    def _changed(self) -> None:
        self._revision = self.query_one("#revision", Input).value.strip()
        self._drop_plan("There is no plan yet.")
        if self._limits() is not None:
            self.query_one("#plan-text", Static).update("planning …")
            self.query_one("#no", Button).focus()
            self._request_plan()

    def _drop_plan(self, text: str) -> None:
        """Remove the plan, because the fields have changed. Without a plan, there is nothing to consent to."""
        self._plan = None
        self.query_one(VerdictView).forget()
        self._request += 1  # a plan that is being made is for the old fields too
        self.query_one("#yes", Button).disabled = True
        self.query_one("#name", Input).display = False
        self.query_one("#plan-text", Static).update(text)
        self._ask("")

    def _limits(self) -> Limits | None:
        """Return the limits of the fields. If a field is wrong, show a sentence and return None."""
        from magetui.engine.runs.start import Limits
        from magetui.model.server import Timeouts

        try:
            lock_ms = lock_timeout_ms(self.query_one("#timeout", Input).value.strip())
        except ArgumentTypeError as error:
            self._ask(str(error), WARNING)
            return None
        text = self.query_one("#retries", Input).value.strip()
        try:
            retries = count(text)
        except ArgumentTypeError:
            self._ask(f"The number of retries is a count such as 0 or 5, not '{text}'.", WARNING)
            return None
        statement_ms = round(self.magetui.settings.statement_timeout_seconds * 1000)
        return Limits(Timeouts(lock_ms=lock_ms, statement_ms=statement_ms), retries, self._on_disconnect)

    @on(Input.Changed, "#name")
    def _named(self, event: Input.Changed) -> None:
        self.query_one("#yes", Button).disabled = not self._is_named(event.value)

    @on(Input.Submitted, "#name")
    def _name_entered(self, event: Input.Submitted) -> None:
        yes = self.query_one("#yes", Button)
        yes.disabled = not self._is_named(event.value)
        if not yes.disabled:
            self.set_focus(yes)
        elif self._plan is not None:
            self._ask(f"'{event.value}' is not the database's name. It is: {self._plan.database}", WARNING)

    def _is_named(self, text: str) -> bool:
        return self._plan is not None and text == self._plan.database

    @on(Button.Pressed, "#yes")
    def _consented(self) -> None:
        if self._plan is not None and (limits := self._limits()) is not None:
            preview = self._facts.preview
            self.magetui.start_run(self._plan, limits, () if preview is None else preview.losses.known)
            self.dismiss(None)

    @property
    def _can_be_consented_to(self) -> bool:
        if self._plan is None:
            return False
        return self.query_one("#name", Input).display or not self.query_one("#yes", Button).disabled

    def action_consent(self) -> None:
        """Move the focus to the name's field or to the button. Pressing the button is another key."""
        name, yes = self.query_one("#name", Input), self.query_one("#yes", Button)
        if name.display and yes.disabled:
            self.set_focus(name)
        elif not yes.disabled:
            self.set_focus(yes)

    def action_edit(self) -> None:
        fields = (self.query_one(f"#{name}", Input) for name in ("revision", "timeout"))
        self.set_focus(next(field for field in fields if field.display))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action == "consent":
            return self._yes_shown
        return {"verify": "stamp", "in_doubt": "finish"}.get(action, self._verb) == self._verb

    def action_verify(self) -> None:
        revision = self._plan.target_revision if self._plan is not None else self._revision or "head"
        self.query_one(VerdictView).verify(revision)

    @on(VerdictView.Changed)
    def _verdict_changed(self) -> None:
        view = self.query_one(VerdictView)
        if view.stage != "idle":
            self.call_after_refresh(view.scroll_visible, animate=False)

    def action_on_disconnect(self) -> None:
        self._on_disconnect = "continue" if self._on_disconnect == "cancel" else "cancel"
        self._describe()

    def action_in_doubt(self) -> None:
        self._in_doubt = "skip" if self._in_doubt == "run" else "run"
        self._drop_plan("planning …")
        self._request_plan()


def _preview(reading: Reading, plan: Plan) -> dict[str, Any]:
    """Return the preview as a field of `PlanFacts`, or the reason why there is none."""
    from magetui.engine.preview import preview

    try:
        return {"preview": preview.preview_plan(reading, plan)}
    except MagetuiError as error:
        return {"preview_problem": error.message}
