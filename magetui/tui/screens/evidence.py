"""The evidence screen: the verdict, the revisions, and the operations of the one at the cursor, expected and live."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen, TextScreen
from magetui.tui.screens.revision import RevisionScreen
from magetui.tui.screens.verify import VerifyScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.verb_keys import VERB_KEYS, WAYS_OUT
from magetui.tui.widgets.comparison import ComparisonView
from magetui.tui.widgets.evidence_rows import evidence_heading, evidence_rows
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Rows, fitted

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.revisions.graph import Chain
    from magetui.model.plan import ChangeVerb
    from magetui.text.evidence import Conclusion

HEADING_AND_FILTER = 2  # lines of the list that are no revisions
LEAST_LABEL = 20  # columns of the database's name in the title
WIDE = 120  # columns from which the operations are beside the list
# What evidence does not tell, in as many words as there is room for.
LIMITS = (
    " Not compared: rows, invalid indexes, other tables.",
    " Not compared: rows, other tables.",
    " Rows not compared.",
)
STEPS: list[BindingType] = [
    Binding("f", "repair('finish')", "Finish", tooltip="plan to run the missing operations of the revision"),
    Binding("U", "repair('undo')", "Undo", tooltip="plan to reverse the operations of the revision"),
    Binding("R", "repair('repair')", "Repair", tooltip="plan to remove the differences from the current revision"),
    Binding("s", "stamp", "Stamp", tooltip="plan to set the current revision to the revision at the cursor"),
    Binding("v", "verify", "Verify", tooltip="compare the live schema with the one that the scripts make"),
]


class EvidenceScreen(OverScreen):
    NAME = "Evidence"
    TELLS_VERDICT = True
    ABOUT = (
        "The revision that the live schema matches, worked out from the operations of each script. On top is the "
        "verdict, and what to do. The list has every revision, newest first: ▶ is the current revision, = a revision "
        "that the schema matches; ● applied, ○ not applied, ◐ partial, ~ superseded by later revisions, ? undecidable. "
        "FOUND is how many of its operations the schema shows. Below the list, or beside it, are the operations of the "
        "revision at the cursor, expected and live: - missing, + there but not expected, ! different, ? not visible. "
        "Enter opens the revision. D shows the verdict in full, with every operation of a partially applied revision, "
        "or every difference. v verifies the revision at the cursor if the schema matches it, or else the current "
        "revision. Evidence is not proof, and this screen stamps nothing."
    )
    BINDINGS = [
        Binding("D", "details", "Details", tooltip="show the verdict in full, with every operation or difference"),
        *STEPS,
        Binding("r", "again", "Read again", tooltip="read the scripts and the schema again"),
        *WAYS_OUT,
        *(key for key in VERB_KEYS if key.id == "clean"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chain: Chain | None = None
        self._conclusion: Conclusion | None = None
        self._is_placed = False  # whether the cursor is on the revision that matters most

    @property
    def named_keys(self) -> tuple[str, ...]:
        from magetui.text.advice import verbs_in

        return verbs_in(self._conclusion.verdict.step) if self._conclusion is not None else ()

    def compose_body(self) -> ComposeResult:
        yield Static(id="verdict-fact", markup=False)
        yield Static(id="verdict-step", markup=False)
        with Container(id="evidence-body"):
            yield Rows(id="evidence-rows", empty="nothing to compare")
            yield ComparisonView(id="evidence-detail")
        yield Static(id="evidence-note", markup=False)

    def on_mount(self) -> None:
        self._entitle()
        self._rows.focus_lines()
        self.action_again()

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width >= WIDE, "wide")
        self._entitle()
        self.call_after_refresh(self._fit_rows)
        self.call_after_refresh(self._show_note)

    @property
    def _rows(self) -> Rows:
        return self.query_one(Rows)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Allow only what the conclusion has a use for."""
        conclusion = self._conclusion
        if action not in ("details", "stamp", "repair"):
            return True
        if conclusion is None or action == "details":
            return conclusion is not None
        is_partial = conclusion.partial is not None
        if action == "stamp":
            return not is_partial and not conclusion.is_elsewhere
        possible = {"finish": is_partial, "undo": conclusion.is_undoable, "repair": conclusion.is_repairable}
        return possible[str(parameters[0])]

    # -- reading

    def action_again(self) -> None:
        self._show_verdict(Content.styled("reading the scripts and the schema …", QUIET))
        self._gather()

    def read_again(self) -> None:
        """Read again without a key: a run may have changed the schema while another screen was in front."""
        self.action_again()

    @work(thread=True, exclusive=True, group="evidence", exit_on_error=False)
    def _gather(self) -> None:
        load_engine()
        from magetui.engine.evidence.evidence import gather_evidence
        from magetui.engine.schema.snapshot import open_reading
        from magetui.text.evidence import conclude

        workspace = self.magetui.open_workspace()
        try:
            chain = workspace.chain
            with open_reading(workspace) as reading:
                evidence = gather_evidence(reading, by_operation=True)
                table = reading.overview.version_table
        except (MagetuiError, OSError) as error:
            self.call_later(self._gathered, None, None, str(error))
            return
        self.call_later(self._gathered, chain, conclude(chain, evidence, table, workspace.target.clean))

    def _gathered(self, chain: Chain | None, conclusion: Conclusion | None, problem: str = "") -> None:
        self._chain, self._conclusion = chain, conclusion
        self.mark_read()
        self.set_class(conclusion is None, "unread")
        self.refresh_bindings()
        self._entitle()
        if chain is None or conclusion is None:
            heading = ("The schema could not be examined. ", WARNING)
            self._show_verdict(Content.assemble(heading, formats.plain(self.magetui.advise(problem))))
            self._rows.show(lambda _width: ())
            self._show_revision()
            return
        verdict = conclusion.verdict
        self._show_verdict(Content.styled(verdict.fact, STRONG), self.magetui.advise(verdict.step))
        self._rows.show(
            lambda width: evidence_rows(chain, conclusion, width), lambda width: evidence_heading(conclusion, width)
        )
        start = conclusion.partial or _matters_most(chain, conclusion)
        if start is not None and not self._is_placed:
            self._is_placed = True
            self._rows.select(start)
        self._show_revision()
        self.call_after_refresh(self._fit_rows)

    # -- showing

    def _entitle(self) -> None:
        """Show the current revision in the title: the database's name gives way to it."""
        current = self._conclusion.current if self._conclusion is not None else ()
        named = f"   current {formats.plain(', '.join(current))}" if current else ""
        label = self.magetui.database_label
        room = max(LEAST_LABEL, self.size.width - len(" Evidence   ") - cell_len(named) - 1)
        self.entitle((" Evidence", STRONG), f"   {fitted(label, min(room, cell_len(label)))}", named)

    def _fit_rows(self) -> None:
        """Give the list as many lines as it has revisions, at most half of the room if the operations are below it."""
        wanted = len(self._conclusion.revisions) + HEADING_AND_FILTER if self._conclusion is not None else 0
        half = self.query_one("#evidence-body").size.height // 2
        self._rows.styles.height = "1fr" if self.has_class("wide") or not wanted else min(wanted, half)

    def _show_verdict(self, fact: Content, step: str = "") -> None:
        self.query_one("#verdict-fact", Static).update(fact)
        line = self.query_one("#verdict-step", Static)
        line.display = bool(step)
        line.update(step)

    @on(Rows.Moved)
    def _show_revision(self) -> None:
        """Show the operations of the revision at the cursor."""
        conclusion, revision = self._conclusion, self._rows.selected
        view = self.query_one(ComparisonView)
        view.display = conclusion is not None
        if conclusion is not None and revision is not None:
            view.show(formats.plain(revision), conclusion.compared[revision], conclusion.notes[revision])
        self._show_note()

    def _show_note(self) -> None:
        """Show what evidence can't say, and what v verifies: on one line, as far as there is room."""
        verifies = f"{self.magetui.key_of('verify')} verifies {self._verified_name()}" if self._verifies else ""
        width = self.size.width - 2
        room = max(0, width - cell_len(verifies) - 2)
        limit = next((text for text in LIMITS if cell_len(text) <= room), "") if self._conclusion else ""
        self.query_one("#evidence-note", Static).update(
            Content.styled(f"{fitted(limit, room)}  {verifies}", QUIET), layout=False
        )

    @property
    def _verifies(self) -> bool:
        return self._conclusion is not None and not self._conclusion.is_elsewhere

    def _verified_name(self) -> str:
        conclusion = self._conclusion
        if (revision := self._verified) is not None:
            return formats.plain(revision)
        known = self._chain.by_id if self._chain is not None else {}
        if conclusion is None or not conclusion.current or not all(current in known for current in conclusion.current):
            return "the closest match"
        return formats.plain(" and ".join(conclusion.current))

    @property
    def _verified(self) -> str | None:
        """The revision at the cursor, if the schema matches it; otherwise the current revision is verified."""
        selected = self._rows.selected
        matches = self._conclusion is not None and selected in self._conclusion.verified
        return selected if matches else None

    # -- opening

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        if self._chain is None or self._conclusion is None:
            return
        evidence = next(evidence for evidence in self._conclusion.revisions if evidence.revision == event.key)
        self.app.push_screen(RevisionScreen(self._chain.by_id[event.key], self._chain, evidence))

    def action_repair(self, name: ChangeVerb) -> None:
        current = self._conclusion.current if self._conclusion is not None else ()
        self.magetui.action_change(name, current[0] if name == "repair" and len(current) == 1 else None)

    def action_verify(self) -> None:
        self.app.push_screen(VerifyScreen(self._verified))

    def action_stamp(self) -> None:
        self.magetui.action_change("stamp", self._rows.selected)

    def action_details(self) -> None:
        if self._conclusion is not None:
            width = max(30, self.size.width - 4)
            self.app.push_screen(EvidenceText(self, Content("\n").join(self._full_text(self._conclusion, width))))

    def _full_text(self, conclusion: Conclusion, width: int) -> list[Content]:
        """Return the sentences, the key of the next step on a line of its own, and the operations or differences."""
        cursor = ", with the cursor on its line" if conclusion.partial is None else ""
        command = [f"  {formats.plain(self.magetui.advise(conclusion.command))}{cursor}"] if conclusion.command else []
        details = [line for state, text in conclusion.details for line in hanging(f"{state:<9} ", text, width)]
        sentences = [*map(self.magetui.advise, conclusion.sentences), *command]
        return [*map(Content, sentences), Content(""), *details]


class EvidenceText(TextScreen):
    """The evidence in full. The keys that the text names close it, and act on the evidence screen."""

    BINDINGS = STEPS
    ACTIONS: ClassVar[frozenset[str]] = frozenset({"repair", "stamp", "verify"})

    def __init__(self, evidence: EvidenceScreen, text: Content) -> None:
        super().__init__("Evidence", text)
        self._evidence = evidence

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in self.ACTIONS:
            return self._evidence.check_action(action, parameters)
        return super().check_action(action, parameters)

    def action_repair(self, name: ChangeVerb) -> None:
        self.dismiss(None)
        self._evidence.action_repair(name)

    def action_stamp(self) -> None:
        self.dismiss(None)
        self._evidence.action_stamp()

    def action_verify(self) -> None:
        self.dismiss(None)
        self._evidence.action_verify()


def _matters_most(chain: Chain, conclusion: Conclusion) -> str | None:
    """Return the current revision if it matches, else the newest one that does: the next step would stamp it.

    If none matches, it is the newest one that lacks something: preferably a revision that was applied.
    """
    names = [evidence.revision for evidence in conclusion.revisions]
    current = [name for name in names if name in conclusion.current]
    matching = [name for name in names if name in conclusion.candidates]
    partial = [evidence.revision for evidence in conclusion.revisions if evidence.state == "partial"]
    applied = chain.applied(conclusion.current)
    damaged = [name for name in partial if name in applied] or partial
    chosen = [name for name in current if name in matching] or matching or damaged or current
    return chosen[0] if chosen else None
