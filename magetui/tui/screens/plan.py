"""The plan screen: what a verb would do, before it is done. Consent is asked for here and defaults to no."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Footer, Input, Static

from magetui.tui.loading import load_engine
from magetui.tui.rows import fitted
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, QUIET, STRONG, WARNING

if TYPE_CHECKING:
    from magetui.engine.plan import Plan, PlanStep
    from magetui.runner.request import ChangeVerb

SQL_LINES_A_STEP = 200
SESSIONS_SHOWN = 5
LONGEST_TIMEOUT_SECONDS = 2_000_000.0  # PostgreSQL keeps it as milliseconds in 31 bits


class PlanScreen(OverScreen):
    """Shows a plan; the button with the verb's name starts the run and hands it to the run screen."""

    NAME = "Plan"
    ABOUT = (
        "What the verb would do from the present state: its steps, the SQL that Alembic can render beforehand, and who "
        "is in the way now. Change the revision or the lock timeout in their fields and press enter to plan anew. "
        "Nothing is changed until you choose to; what may destroy data wants the database's name typed first."
    )
    BINDINGS = [
        Binding("n", "refuse", "No"),
        Binding("y", "consent", "Yes"),
        Binding("e", "edit", "Edit"),
        Binding("l", "app.locks", "Locks"),
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
            self, question: int, plan: Plan | None, problem: str | None, in_the_way: tuple[str, ...] = ()
        ) -> None:
            self.question = question
            self.plan = plan
            self.problem = problem
            self.in_the_way = in_the_way
            super().__init__()

    class Rendered(Message):
        """The plan's SQL was rendered, or could not be."""

        def __init__(self, question: int, plan: Plan, steps: tuple[PlanStep, ...], problem: str | None) -> None:
            self.question = question
            self.plan = plan
            self.steps = steps
            self.problem = problem
            super().__init__()

    def __init__(self, verb: ChangeVerb, title: str, revision: str, replace_unknown: str | None = None) -> None:
        super().__init__()
        self._verb = verb
        self._title = title
        self._revision = revision
        self._replace_unknown = replace_unknown
        self._plan: Plan | None = None
        self._question = 0  # of the latest plan asked for; answers to earlier ones are not listened to
        self._in_the_way: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(classes="fields"):
            yield Static("revision ", markup=False, classes="label")
            yield _field(self._revision, "revision")
            yield Static("  give up on a lock after ", markup=False, classes="label")
            yield _field("10", "timeout")
            yield Static(" s", markup=False, classes="label")
        with VerticalScroll(id="plan-body"):
            yield Static("planning …", id="plan-text", markup=False)
        yield Static(id="question", markup=False)
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
        self._ask_for_plan()

    # -- planning

    def _ask_for_plan(self) -> None:
        self._question += 1
        self._make_plan(self._question, self._revision)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _make_plan(self, question: int, revision: str) -> None:
        load_engine()
        from magetui import words
        from magetui.engine import locks, plan
        from magetui.engine.errors import MagetuiError

        workspace = self.magetui.open_workspace()
        try:
            made = plan.make_plan(workspace, self._verb, revision or None, self._replace_unknown)
            holding = tuple(words.session_line(s) for s in locks.list_sessions(workspace) if s.holds)
        except MagetuiError as error:
            self.post_message(self.Planned(question, None, error.message))
            return
        self.post_message(self.Planned(question, made, None, holding))
        if not made.empty:
            try:
                self.post_message(self.Rendered(question, made, plan.render_plan(workspace, made), None))
            except MagetuiError as error:
                self.post_message(self.Rendered(question, made, (), error.message))

    def on_plan_screen_planned(self, message: Planned) -> None:
        if message.question != self._question:
            return
        self._plan, self._in_the_way = message.plan, message.in_the_way
        body = self.query_one("#plan-text", Static)
        yes, name = self.query_one("#yes", Button), self.query_one("#name", Input)
        plan = message.plan
        name.display = False
        yes.disabled = True
        if plan is None:
            body.update(Content.assemble(("This cannot be done: ", CRITICAL), message.problem or ""))
            self._ask("")
            return
        body.update(self._described(plan, None, None))
        if plan.empty:
            self._ask("There is nothing to do.")
        elif self.magetui.selection.read_only:
            self._ask("This is only shown: --read-only is set, so nothing is changed.", WARNING)
        elif plan.forbidden is not None:
            self._ask(f"This cannot be done here. {plan.forbidden}", CRITICAL)
        elif plan.destroys:
            name.display = True
            self._ask(f"A downgrade may destroy data. To go on, type the database's name: {plan.database}", WARNING)
        else:
            yes.disabled = False
            self._ask("Do it? The default is no.")

    def on_plan_screen_rendered(self, message: Rendered) -> None:
        if message.question == self._question and message.plan is self._plan:
            text = self._described(message.plan, message.steps, message.problem)
            self.query_one("#plan-text", Static).update(text)

    def _described(self, plan: Plan, steps: tuple[PlanStep, ...] | None, problem: str | None) -> Content:
        from magetui import words

        lines = [Content.styled(words.plain(plan.summary), STRONG)]
        if plan.destroys:
            lines.append(Content("What these revisions had added is dropped, with the data in it."))
        if self._in_the_way and plan.verb != "stamp":
            lines.append(Content.styled("Sessions that hold locks now, and may be in the way:", WARNING))
            width = max(20, self.size.width - 6)
            lines.extend(Content(f"  {fitted(line, width).rstrip()}") for line in self._in_the_way[:SESSIONS_SHOWN])
            if len(self._in_the_way) > SESSIONS_SHOWN:
                lines.append(Content(f"  and {len(self._in_the_way) - SESSIONS_SHOWN} more: l shows them"))
        lines.append(Content(""))
        for number, step in enumerate(plan.steps, start=1):
            head = f"{number:>3}  {step.direction:<9} {step.revision}  {step.message}"
            lines.append(Content(words.plain(head)))
            if steps is None:
                continue
            if number <= len(steps):
                sql = (steps[number - 1].sql or "").splitlines()
                shown = [line for line in sql if line.strip()][:SQL_LINES_A_STEP]
                lines.extend(Content.styled(f"       {words.plain(line)}", "ansi_cyan") for line in shown)
                if steps[number - 1].problem:
                    lines.append(Content.styled(f"       {words.one_line(steps[number - 1].problem or '')}", QUIET))
        if steps is None and not plan.empty:
            lines.append(Content.styled("       rendering the SQL …", QUIET))
        if problem:
            lines.append(Content.styled(words.plain(problem), QUIET))
        return Content("\n").join(lines)

    def _ask(self, question: str, style: str = "") -> None:
        self.query_one("#question", Static).update(Content.styled(question, style) if style else Content(question))

    # -- consent

    @on(Input.Changed, "#revision")
    def _revision_edited(self, event: Input.Changed) -> None:
        if event.value.strip() == self._revision:
            return
        self._revision = event.value.strip()
        self._drop_plan("The revision was changed, so there is no plan.")
        self._ask("Press enter to plan for this revision.")

    @on(Input.Submitted, "#revision, #timeout")
    def _changed(self) -> None:
        self._revision = self.query_one("#revision", Input).value.strip()
        self._drop_plan("There is no plan yet.")
        if self._lock_timeout_ms() is not None:
            self.query_one("#plan-text", Static).update("planning …")
            self.query_one("#no", Button).focus()
            self._ask_for_plan()

    def _drop_plan(self, said: str) -> None:
        """What was planned is not what the fields say any more; nothing can be consented to until it is."""
        self._plan = None
        self._question += 1  # a plan that is still being made is not wanted either
        self.query_one("#yes", Button).disabled = True
        self.query_one("#name", Input).display = False
        self.query_one("#plan-text", Static).update(said)
        self._ask("")

    def _lock_timeout_ms(self) -> int | None:
        """The lock timeout of its field; None, and a sentence on the screen, where it is no such thing."""
        text = self.query_one("#timeout", Input).value.strip()
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if math.isfinite(seconds) and 0 <= seconds <= LONGEST_TIMEOUT_SECONDS:
            return round(seconds * 1000)
        self._ask(f"The lock timeout is a number of seconds, 0 for no limit, not '{text}'.", WARNING)
        return None

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
        timeout = self._lock_timeout_ms()
        if timeout is None:
            return
        self.magetui.start_run(self._plan, lock_timeout_ms=timeout)
        self.dismiss(None)

    def action_refuse(self) -> None:
        self.action_close()

    def action_consent(self) -> None:
        """Bring the operator to where consent is given; pressing it is another key."""
        name, yes = self.query_one("#name", Input), self.query_one("#yes", Button)
        if name.display and yes.disabled:
            self.set_focus(name)
        elif not yes.disabled:
            self.set_focus(yes)

    def action_edit(self) -> None:
        self.set_focus(self.query_one("#revision", Input))

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#plan-body", VerticalScroll), f"scroll_{where}")(animate=False)


def _field(value: str, id: str) -> Input:
    field = Input(value, id=id, compact=True, select_on_focus=True)
    field.cursor_blink = False
    return field
