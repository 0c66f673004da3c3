"""The plan screen: what a verb would do, before it is done. Consent is asked for here and defaults to no."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Footer, Input, Static

from magetui.config.targets import asked_for_name, named_target
from magetui.tui.loading import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, STRONG, WARNING
from magetui.tui.widgets.plan_lines import Foreseen, plan_lines
from magetui.tui.widgets.question import CHOICE, Question
from magetui.tui.widgets.verification import VerdictView
from magetui.verbs import count, seconds

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.engine.repair.plan import InDoubt
    from magetui.engine.runs.start import Limits
    from magetui.engine.schema.snapshot import Reading
    from magetui.model.plan import ChangeVerb, OnDisconnect, Plan


WHICH_REVISION = (
    "Which revision is the database at? Type its id, or a part of it that no other has. A wrong one makes Alembic "
    "skip what is missing, or do again what is there: e on the main screen shows what the schema says."
)


class PlanScreen(OverScreen):
    """Shows a plan; the button with the verb's name starts the run and hands it to the run screen."""

    NAME = "Plan"
    ABOUT = (
        "What the verb would do from the present state: whom it locks out and what data is lost, its steps, the SQL "
        "that Alembic can render beforehand, and who is in the way now. Change the revision or the lock timeout in "
        "their fields and press enter to plan anew. Nothing is changed until you choose to; what may destroy data "
        "wants the database's name typed first."
    )
    BINDINGS = [
        Binding("n", "refuse", "No"),
        Binding("y", "consent", "Yes"),
        Binding("e", "edit", "Edit"),
        Binding("i", "in_doubt", "Doubt", tooltip="run what may have been run already, or skip it"),
        Binding("o", "line", "Line", tooltip="whether the run goes on or is cancelled when the line drops"),
        Binding("v", "verify", "Verify", tooltip="build what the revision makes, and compare the live schema"),
        Binding("l", "app.locks", "Locks"),
        Binding("B", "app.backup", "Back up", tooltip="keep what would be lost in a backup first"),
        Binding("j,down", "scroll('down')", "Down", show=False),
        Binding("k,up", "scroll('up')", "Up", show=False),
        Binding("g,home", "scroll('home')", "Top", show=False),
        Binding("G,end", "scroll('end')", "End", show=False),
        Binding("ctrl+d,pagedown", "scroll('page_down')", "Page down", show=False),
        Binding("ctrl+u,pageup", "scroll('page_up')", "Page up", show=False),
    ]

    class Planned(Message):
        """A plan was made, or could not be (`problem`); `question` counts what was asked."""

        def __init__(
            self,
            question: int,
            plan: Plan | None,
            problem: str | None,
            foreseen: Foreseen | None = None,
            named: NamedTarget | None = None,
        ) -> None:
            self.question = question
            self.plan = plan
            self.problem = problem
            self.foreseen = foreseen or Foreseen()
            self.named = named  # what the configuration knows of the database
            super().__init__()

    class Learned(Message):
        """More is known of the plan: `news` are fields of `Foreseen`."""

        def __init__(self, question: int, **news: Any) -> None:
            self.question = question
            self.news = news
            super().__init__()

    def __init__(self, verb: ChangeVerb, title: str, revision: str, replace_unknown: str | None = None) -> None:
        super().__init__()
        self._verb = verb
        self._title = title
        self._revision = revision
        self._replace_unknown = replace_unknown
        self._plan: Plan | None = None
        self._question = 0  # of the latest plan asked for; answers to earlier ones are not listened to
        self._foreseen = Foreseen()
        self._on_disconnect: OnDisconnect = "continue"  # until it is known what is configured
        self._in_doubt: InDoubt | None = None
        self._yes_shown = False

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(classes="fields"):
            revision = Static("revision ", markup=False, classes="label"), _field(self._revision, "revision")
            for widget in revision:
                widget.display = self._verb not in ("finish", "undo")  # the schema says which revision that is
                yield widget
            yield Static("  give up on a lock after ", markup=False, classes="label")
            yield _field(f"{self.magetui.settings.lock_timeout_seconds:g}", "timeout")
            yield Static(" s  retries ", markup=False, classes="label")
            yield _field(str(self.magetui.settings.lock_retries), "retries")
        with VerticalScroll(id="plan-body"):
            yield Static("planning …", id="plan-text", markup=False)
            yield VerdictView("v again does it; the default is not to.", id="verdict")
        yield Question()
        with Horizontal(classes="consent"):
            name = _field("", "name")
            name.display = False
            yield name
            yield Button("No", id="no", compact=True)
            yield Button(self._title, id="yes", compact=True, disabled=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((f" {self._title}", STRONG), f"   {self.magetui.place}")
        self.query_one("#no", Button).focus()
        self._on_disconnect = self.magetui.settings.on_disconnect
        if self._verb == "stamp" and not self._revision:
            self._drop_plan(WHICH_REVISION)
            self._ask("Type the revision, and press enter to plan for it.")
            self.query_one("#revision", Input).focus()
        else:
            self._ask_for_plan()

    # -- planning

    def _ask_for_plan(self) -> None:
        self._question += 1
        self._make_plan(self._question, self._revision)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _make_plan(self, question: int, revision: str) -> None:
        load_engine()
        from magetui.engine import plan
        from magetui.engine.errors import MagetuiError
        from magetui.engine.preview import preview
        from magetui.engine.runs import follow
        from magetui.engine.schema.snapshot import open_reading
        from magetui.engine.sessions import listing
        from magetui.text import formats

        with open_reading(self.magetui.open_workspace()) as reading:
            workspace = reading.workspace
            try:
                made = plan.make_plan(reading, self._verb, revision or None, self._replace_unknown, self._in_doubt)
                sessions = listing.shown_sessions(workspace, reading.overview.sessions)
                holding = tuple((s.pid, formats.session_line(s)) for s in sessions if s.holds)
                earlier = follow.took_before(self.magetui.environment, [(s.revision, s.direction) for s in made.steps])
                foreseen = Foreseen(holding, earlier)
                if (
                    made.verb == "stamp" and not made.empty
                ):  # what speaks against it is known before it can be consented to
                    foreseen = _weighed(reading, made, foreseen)
            except MagetuiError as error:
                self.post_message(self.Planned(question, None, error.message))
                return
            named = named_target(self.magetui.settings.targets, workspace.selection, workspace.target.redacted)
            self.post_message(self.Planned(question, made, None, foreseen, named))
            if made.empty:
                return
            if made.verb != "stamp":
                try:
                    self.post_message(self.Learned(question, preview=preview.preview_plan(reading, made)))
                except MagetuiError as error:
                    self.post_message(self.Learned(question, unforetold=error.message))
            try:
                self.post_message(self.Learned(question, steps=plan.render_plan(reading, made)))
            except MagetuiError as error:
                self.post_message(self.Learned(question, unrendered=error.message))

    def on_plan_screen_planned(self, message: Planned) -> None:
        if message.question != self._question:
            return
        self._plan, self._foreseen = message.plan, message.foreseen
        yes, name = self.query_one("#yes", Button), self.query_one("#name", Input)
        plan = message.plan
        name.display = False
        yes.disabled = True
        if plan is None:
            text = Content.assemble(("This cannot be done: ", CRITICAL), message.problem or "")
            self.query_one("#plan-text", Static).update(text)
            self._ask("")
            return
        self._describe()
        asks_name, why = asked_for_name(plan.destroys, message.named, doubted=message.foreseen.doubted)
        if plan.empty:
            self._ask("There is nothing to do.")
        elif self.magetui.selection.read_only:
            self._ask("This is only shown: --read-only is set, so nothing is changed.", WARNING)
        elif plan.forbidden is not None:
            self._ask(f"This cannot be done here. {plan.forbidden}", CRITICAL)
        elif asks_name:
            name.display = True
            self._ask(f"{why[0].upper()}{why[1:]}. To go on, type the database's name: {plan.database}", WARNING)
        else:
            yes.disabled = False
            self._ask(f"Do it? {CHOICE}")

    def on_plan_screen_learned(self, message: Learned) -> None:
        if message.question == self._question:
            self._foreseen = replace(self._foreseen, **message.news)
            self._describe()

    def _describe(self) -> None:
        if self._plan is not None:
            width = max(30, self.size.width - 6)
            lines = plan_lines(self._plan, self._foreseen, self._on_disconnect, width)
            self.query_one("#plan-text", Static).update(lines)

    # -- consent

    def _ask(self, question: str, style: str = "") -> None:
        self.query_one(Question).ask(question, style)
        if self._yes_shown != self._can_be_consented_to:  # the footer is slow: not with each key that is typed
            self._yes_shown = self._can_be_consented_to
            self.refresh_bindings()

    @on(Input.Changed, "#revision")
    def _revision_edited(self, event: Input.Changed) -> None:
        if event.value.strip() == self._revision:
            return
        self._revision = event.value.strip()
        self._drop_plan("The revision was changed, so there is no plan.")
        self._ask("Press enter to plan for this revision.")

    @on(Input.Submitted, "#revision, #timeout, #retries")
    def _changed(self) -> None:
        self._revision = self.query_one("#revision", Input).value.strip()
        self._drop_plan("There is no plan yet.")
        if self._limits() is not None:
            self.query_one("#plan-text", Static).update("planning …")
            self.query_one("#no", Button).focus()
            self._ask_for_plan()

    def _drop_plan(self, said: str) -> None:
        """What was planned is not what the fields say any more; nothing can be consented to until it is."""
        self._plan = None
        self.query_one(VerdictView).forget()
        self._question += 1  # a plan that is still being made is not wanted either
        self.query_one("#yes", Button).disabled = True
        self.query_one("#name", Input).display = False
        self.query_one("#plan-text", Static).update(said)
        self._ask("")

    def _limits(self) -> Limits | None:
        """What the fields say; None, and a sentence on the screen, where they say no such thing."""
        from magetui.engine.runs.start import Limits
        from magetui.model.server import Timeouts

        text = self.query_one("#timeout", Input).value.strip()
        try:
            lock_ms = round(seconds(text) * 1000)
        except ArgumentTypeError:
            self._ask(f"The lock timeout is a number of seconds, 0 for no limit, not '{text}'.", WARNING)
            return None
        text = self.query_one("#retries", Input).value.strip()
        try:
            retries = count(text)
        except ArgumentTypeError:
            self._ask(f"The retries after a lock timeout are a whole number, not '{text}'.", WARNING)
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

    @on(Button.Pressed, "#no")
    def _refused(self) -> None:
        self.action_close()

    @on(Button.Pressed, "#yes")
    def _consented(self) -> None:
        if self._plan is None:
            return
        limits = self._limits()
        if limits is None:
            return
        self.magetui.start_run(self._plan, limits)
        self.dismiss(None)

    def action_refuse(self) -> None:
        self.action_close()

    @property
    def _can_be_consented_to(self) -> bool:
        if self._plan is None:
            return False
        return self.query_one("#name", Input).display or not self.query_one("#yes", Button).disabled

    def action_consent(self) -> None:
        """Bring the operator to where consent is given; pressing it is another key."""
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
        self.query_one(VerdictView).verify(
            self._plan.target_revision if self._plan is not None else self._revision or "head"
        )

    @on(VerdictView.Changed)
    def _verdict_changed(self, message: VerdictView.Changed) -> None:
        if message.view.stage != "idle":
            self.call_after_refresh(message.view.scroll_visible, animate=False)

    def action_line(self) -> None:
        """Let the run be cancelled when the line drops, or go on."""
        self._on_disconnect = "continue" if self._on_disconnect == "cancel" else "cancel"
        self._describe()

    def action_in_doubt(self) -> None:
        """Change what is done with that of which nobody can see whether it was done, and plan anew."""
        self._in_doubt = "skip" if self._in_doubt == "run" else "run"
        self._drop_plan("planning …")
        self._ask_for_plan()

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#plan-body", VerticalScroll), f"scroll_{where}")(animate=False)


def _field(value: str, id: str) -> Input:
    field = Input(value, id=id, compact=True, select_on_focus=True)
    field.cursor_blink = False
    return field


def _weighed(reading: Reading, plan: Plan, foreseen: Foreseen) -> Foreseen:
    """With what the schema says of a stamp, or why it is not known."""
    from magetui.engine.errors import MagetuiError
    from magetui.engine.preview import preview

    try:
        return replace(foreseen, preview=preview.preview_plan(reading, plan))
    except MagetuiError as error:
        return replace(foreseen, unforetold=error.message)
