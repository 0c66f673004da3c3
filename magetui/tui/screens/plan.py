"""The plan screen: what a verb would do. It asks for consent when the plan is complete."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Input, Static

from magetui.config.targets import named_target
from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.text.consent import changed_since, plan_consent
from magetui.tui import plan_job
from magetui.tui.engine_loader import load_engine
from magetui.tui.likely_target import which_revision
from magetui.tui.plan_job import PlanQuestion
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, STRONG, WARNING
from magetui.tui.verb_keys import VERB_KEYS, WAYS_OUT
from magetui.tui.widgets.consent import ConsentForm
from magetui.tui.widgets.fields import OptionField
from magetui.tui.widgets.plan_fields import PlanFields
from magetui.tui.widgets.plan_lines import PlanFacts, first_to_see, plan_lines, step_lines, step_rows
from magetui.tui.widgets.rows import Lines, Rows
from magetui.tui.widgets.scroll import PAGE_KEYS
from magetui.tui.widgets.verification import VerdictView
from magetui.verbs import verb

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.config.targets import NamedTarget
    from magetui.engine.preview.preview import Preview
    from magetui.engine.runs.start import Limits
    from magetui.model.plan import ChangeVerb, Loss, Plan

    Consented = tuple[Plan, Preview | None]

VERIFYING = "The verification comes first. The plan asks when that is done."
KEYS_ACT = "tab leaves the field, and then the keys that are named above act."
COMING = "The question comes when the plan is complete."
CHECKING = "checking that the plan is still the same …"


class PlanScreen(OverScreen):
    NAME = "Plan"
    TELLS_VERDICT = True
    ABOUT = (
        "What the verb would do from the present state: what will fail, the data loss, its locks, the sessions that "
        "block it now; below, its steps, and beside them the step at the cursor with the SQL that Alembic can render "
        "beforehand. j and k move in the steps, space and ctrl+u scroll the SQL. Change the revision or the lock "
        "timeout in their fields and press enter to plan again. The question appears when the data loss is known, or "
        "could not be read. If data may be lost, or the plan will fail or contradicts the schema, you type the "
        "database's name, and tab leaves that field; otherwise enter on the button consents. The plan is made again "
        "then: if it is another one, you see it and are asked again."
    )
    BINDINGS = [
        Binding("r", "again", "Read again", tooltip="read everything again"),
        Binding("i", "edit", "Options", tooltip="change the revision, the lock timeout or the retries"),
        Binding("a", "in_doubt", "Run or skip", tooltip="run or skip the operations that may have been run already"),
        Binding("h", "on_disconnect", "SSH drops", tooltip="continue or cancel the run if SSH disconnects"),
        Binding("v", "verify", "Verify", tooltip="compare the live schema with a replay", id="verify"),
        Binding("l", "locks", "Locks"),
        Binding("B", "backup", "Back up", tooltip="write a backup first"),
        *WAYS_OUT,
        *VERB_KEYS,  # if there is no plan, the reason names what to do instead
        Binding("j,down", "step('cursor_down')", "Down", show=False),
        Binding("k,up", "step('cursor_up')", "Up", show=False),
        Binding("g,home", "step('first')", "First", show=False),
        Binding("G,end", "step('last')", "Last", show=False),
        *PAGE_KEYS,
        Binding("space", "scroll('page_down')", "Page down", show=False),
    ]
    SCROLLED = "#plan-sql"
    AUTO_FOCUS = ""  # a field that has the focus by itself would keep it from the question

    def __init__(self, verb: ChangeVerb, title: str, revision: str, replace_unknown: str | None = None) -> None:
        super().__init__()
        self._question = PlanQuestion(verb, revision, replace_unknown)
        self._title = title
        self._plan: Plan | None = None
        self._named: NamedTarget | None = None
        self._request = 0  # the number of the latest request; answers to earlier requests are ignored
        self._facts = PlanFacts()
        self._has_failed = False  # whether there is no plan, for a reason that is shown:
        self._problem = ""
        self._asks_later = False  # whether the question waits until that of the verification is answered
        self._note = ""  # before the question: why it is asked again
        self._has_moved = False  # whether the operator has chosen a step
        self._is_settled = False  # whether nothing is being read: until then, letters do nothing

    def compose_body(self) -> ComposeResult:
        takes_revision = verb(self._question.verb).takes_revision
        yield PlanFields(self._question.revision, self.magetui.settings, takes_revision=takes_revision)
        with VerticalScroll(id="plan-head"):
            yield Static("planning …", id="plan-text", markup=False)
            yield VerdictView(id="verdict")
        with Horizontal(id="plan-body"):
            yield Rows(id="plan-steps")
            with VerticalScroll(id="plan-sql", can_focus=False):
                yield Static(id="step-text", markup=False)
        yield ConsentForm(self._title, id="consent")

    def on_mount(self) -> None:
        self._entitle(self.magetui.database_label)
        self.query_one(Lines).can_focus = False
        self.query_one("#plan-body").display = False
        if self._question.verb == "stamp" and not self._question.revision:
            self._drop_plan(which_revision(self.magetui.diagnosis, self.magetui.key_of("connect")))
            self._say("Type the revision and press enter to plan for it.")
            self.set_focus(self._fields.first)
        else:
            self.set_focus(self.query_one("#plan-head"))
            self._request_plan()

    def _entitle(self, label: str) -> None:
        self.entitle((f" {self._title}", STRONG), f"   {label}")

    @property
    def _fields(self) -> PlanFields:
        return self.query_one(PlanFields)

    @property
    def _form(self) -> ConsentForm:
        return self.query_one("#consent", ConsentForm)

    # -- planning

    def action_again(self) -> None:
        self.read_again()

    def read_again(self) -> None:
        """Plan again: something may have changed. A question of the verification stays: enter is meant for it."""
        if self.query_one(VerdictView).stage != "asked" and (self._plan is not None or self._has_failed):
            self._drop_plan("planning …")
            self._request_plan()

    def _request_plan(self) -> None:
        self._request += 1
        self._settle(settled=False)
        self._make_plan(self._request, self._question)

    def _settle(self, *, settled: bool) -> None:
        self._is_settled = settled
        self._fields.let_leave(can_leave=self._plan is not None)
        self.refresh_bindings()

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _make_plan(self, request: int, question: PlanQuestion) -> None:
        load_engine()
        from magetui.engine.schema.snapshot import open_reading

        with open_reading(self.magetui.open_workspace()) as reading:
            workspace = reading.workspace
            try:
                made = question.plan(reading)
                facts = plan_job.first_facts(reading, self.magetui.environment, made)
            except MagetuiError as error:
                self.call_later(self._failed, request, error.message)
                return
            named = named_target(self.magetui.settings.targets, workspace.selection, workspace.target.redacted)
            self.call_later(self._planned, request, made, facts, named)
            facts = plan_job.with_preview(reading, made, facts)
            self.call_later(self._previewed, request, facts)
            if not made.empty:
                self.call_later(self._completed, request, plan_job.with_sql(reading, made, facts))

    def _failed(self, request: int, problem: str) -> None:
        if request == self._request:
            self._plan, self._has_failed, self._problem = None, True, problem
            self.query_one("#plan-body").display = False
            self.mark_read()
            text = Content.assemble(("There is no plan. ", CRITICAL), self.magetui.advise(problem))
            self.query_one("#plan-text", Static).update(text)
            self._say("")

    def _planned(self, request: int, plan: Plan, facts: PlanFacts, named: NamedTarget | None) -> None:
        """Show the plan. The question follows when it is known what the plan loses."""
        if request != self._request:
            return
        self._plan, self._facts, self._named = plan, facts, named
        place = formats.place(plan.url)
        self._entitle(f"{named.called}  {place}" if named is not None else place)
        self._describe()
        if plan.empty:
            self._say("There is nothing to do.")
        elif self.magetui.selection.read_only:
            self._say("--read-only is set: magetui shows the plan and changes nothing.", WARNING)
        elif plan.forbidden is not None:
            self._say(self.magetui.advise(f"This cannot be done here. {plan.forbidden}"), CRITICAL)
        else:
            self._form.say(COMING)

    def _previewed(self, request: int, facts: PlanFacts) -> None:
        if request != self._request or self._plan is None:
            return
        self._facts = facts
        self._describe()
        self.mark_read()

    def _completed(self, request: int, facts: PlanFacts) -> None:
        """Show the SQL too. Now the plan is complete, and the question can be asked."""
        if request != self._request or self._plan is None:
            return
        self._facts = facts
        self._describe()
        if not self._is_settled:
            self._ask(self._plan)
            self._settle(settled=True)

    def _ask(self, plan: Plan) -> None:
        note = self._note or (KEYS_ACT if self._facts.repairs and self.named_keys else "")
        self._form.ask(plan_consent(plan, self._named, self._facts.preview), note)
        self._note = ""

    @on(Resize)
    def _describe(self) -> None:
        if self._plan is not None:
            plan, facts = self._plan, self._facts
            width = max(30, self.size.width - 4)
            verified = self.magetui.verification_of(plan.target_revision)
            lines = plan_lines(plan, facts, width, self.magetui.advise, verified)
            self.query_one("#plan-text", Static).update(lines)
            self.query_one("#plan-body").display = bool(plan.steps) and not plan.empty
            self.query_one("#plan-steps").display = len(plan.steps) > 1
            rows = self.query_one("#plan-steps", Rows)
            rows.show(lambda columns: step_rows(plan, facts, columns))
            if not self._has_moved:
                rows.select(str(first_to_see(plan, facts)))
            self.call_after_refresh(self._describe_step)  # beside the steps, the SQL has another width

    @on(Rows.Moved, "#plan-steps")
    def _describe_step(self) -> None:
        """Show the step at the cursor."""
        number = self.query_one("#plan-steps", Rows).selected
        if self._plan is not None and number is not None and int(number) <= len(self._plan.steps):
            width = max(20, self.query_one("#plan-sql").size.width - 2)
            lines = step_lines(self._plan, self._facts, int(number), width, self.magetui.advise)
            self.query_one("#step-text", Static).update(Content("\n").join(lines))

    def action_step(self, where: str) -> None:
        """Move the cursor in the steps."""
        self._has_moved = True
        getattr(self.query_one("#plan-steps", Rows).lines, f"action_{where}")()
        self.query_one("#plan-sql").scroll_home(animate=False)

    # -- the fields

    def _say(self, sentence: str, style: str = "") -> None:
        """Show a sentence instead of the question."""
        self._form.say(sentence, style)
        self._settle(settled=True)

    @on(Input.Changed, "#revision")
    def _revision_edited(self, event: Input.Changed) -> None:
        if event.value.strip() == self._question.revision:
            return
        self._question = replace(self._question, revision=event.value.strip())
        self._drop_plan("There is no plan for this revision yet.")
        self._say("Press enter to plan for this revision.")

    @on(Input.Submitted, "#revision, #timeout, #retries")
    def _changed(self) -> None:
        self._question = replace(self._question, revision=self._fields.revision)
        self._drop_plan("There is no plan yet.")
        if self._limits() is not None:
            self.query_one("#plan-text", Static).update("planning …")
            self.set_focus(self.query_one("#plan-head"))
            self._request_plan()

    def _drop_plan(self, text: str) -> None:
        """Remove the plan, because the fields have changed. Without a plan, there is nothing to consent to."""
        self._plan, self._has_failed, self._asks_later = None, False, False
        self._request += 1  # a plan that is being made is for the old fields too
        self.query_one(VerdictView).forget()
        self.query_one("#plan-text", Static).update(text)
        self.query_one("#plan-body").display = self._has_moved = False
        self._form.say("")

    def _limits(self) -> Limits | None:
        """Return the limits of the fields. If a field is wrong, show a sentence and return None."""
        try:
            return self._fields.limits()
        except ArgumentTypeError as error:
            self._say(str(error), WARNING)
            return None

    # -- consent

    @on(ConsentForm.Given, "#consent")
    def _consented(self) -> None:
        """Make the plan again before the run: the operator may have read for a long time."""
        limits = self._limits()
        if self._plan is not None and limits is not None:
            self._form.say(CHECKING)
            self._settle(settled=False)
            self._check(self._request, self._question, (self._plan, self._facts.preview), limits)

    @work(thread=True, exclusive=True, group="plan", exit_on_error=False)
    def _check(self, request: int, question: PlanQuestion, shown: Consented, limits: Limits) -> None:
        from magetui.engine.schema.snapshot import open_reading

        with open_reading(self.magetui.open_workspace()) as reading:
            try:
                plan, preview = plan_job.plan_again(reading, question)
            except MagetuiError as error:
                self.call_later(self._failed, request, error.message)
                return
        changed = changed_since(shown, (plan, preview))
        self.call_later(self._checked, request, limits, changed, () if preview is None else preview.losses.known)

    def _checked(self, request: int, limits: Limits, changed: str | None, losses: tuple[Loss, ...]) -> None:
        if request != self._request or self._plan is None:
            return
        if changed is None:
            self.magetui.start_run(self._plan, limits, losses)
            self.dismiss(None)
            return
        self._note = changed
        self._drop_plan("planning …")
        self._request_plan()

    # -- keys

    def action_close(self) -> None:
        """Close the screen, or say no to the verification."""
        view = self.query_one(VerdictView)
        view.forget() if view.stage == "asked" else super().action_close()

    @on(OptionField.Left)
    def _field_left(self) -> None:
        self.set_focus(self.query_one("#plan-head"))
        self._form.come_into_view()

    def action_edit(self) -> None:
        self.set_focus(self._fields.first)

    @property
    def named_keys(self) -> tuple[str, ...]:
        from magetui.text.advice import verbs_in

        doubt = self._facts.preview.doubt if self._plan is not None and self._facts.preview is not None else None
        verify = ("verify",) if self._question.verb == "stamp" else ()
        return (*verify, *verbs_in(self._problem if self._has_failed else doubt or ""))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Allow no letter before the plan is complete: what is typed ahead may be the name that the plan asks for."""
        if action in ("verb", "trust", "elsewhere", "revisions", "again"):
            repairs = self._facts.repairs if self._plan is not None and self._is_settled else ()
            return self._has_failed or parameters[:1] in [(name,) for name in repairs]
        if action in ("edit", "in_doubt", "on_disconnect", "verify", "locks", "backup"):
            only_for = {"verify": ("stamp",), "in_doubt": ("finish", "repair")}.get(action, (self._question.verb,))
            if action == "in_doubt" and self._plan is not None and self._question.in_doubt is None:
                return False  # nothing of the revision is in doubt
            return self._is_settled and self._question.verb in only_for
        return super().check_action(action, parameters)

    def action_locks(self) -> None:
        preview = self._facts.preview
        self.magetui.action_locks(preview.blockers or () if preview is not None else ())

    def action_backup(self) -> None:
        self.magetui.action_backup()

    def action_verify(self) -> None:
        revision = self._plan.target_revision if self._plan is not None else self._question.revision or "head"
        self.query_one(VerdictView).verify(revision)

    @on(VerdictView.Changed)
    def _verdict_changed(self) -> None:
        """Ask one question at a time: the plan asks when the verification is over, which may change the answer."""
        view = self.query_one(VerdictView)
        if view.stage in ("preparing", "asked", "replaying"):
            if self._form.is_asking:
                self._form.say(VERIFYING)
                self._asks_later = True
            if view.stage == "asked":
                view.ask()
        elif self._asks_later and self._plan is not None:
            self._asks_later = False
            self._ask(self._plan)
        if view.stage != "idle":
            self.call_after_refresh(view.scroll_visible, animate=False)

    def action_on_disconnect(self) -> None:
        self._fields.toggle_disconnect()

    def action_in_doubt(self) -> None:
        self._question = replace(self._question, in_doubt="skip" if self._question.in_doubt == "run" else "run")
        self._drop_plan("planning …")
        self._request_plan()
