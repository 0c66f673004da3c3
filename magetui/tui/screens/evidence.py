"""The evidence screen: which revision the schema matches, and what the schema shows of each revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.panes.revisions import ID_WIDTH
from magetui.tui.screens.base import OverScreen, TextScreen
from magetui.tui.screens.revision import STATE_STYLES, RevisionScreen
from magetui.tui.screens.verify import VerifyScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.revisions.graph import Chain
    from magetui.model.plan import ChangeVerb
    from magetui.text.evidence import Conclusion

STATE_WIDTH = 13
MATCH_WIDTH = 6


class EvidenceScreen(OverScreen):
    NAME = "Evidence"
    ABOUT = (
        "The revision that the live schema matches, worked out from the operations of each script, and compared with "
        "the current revision. The list below has every revision, newest first: applied, missing, partial, superseded "
        "by later ones, or undecidable; ▶ is the current revision. Enter opens a revision. o shows every operation of "
        "a partially applied revision, or every difference. s shows what stamping the revision at the cursor would do. "
        "Evidence is not proof, and this screen stamps nothing."
    )
    BINDINGS = [
        Binding("o", "details", "Details", tooltip="show every operation or difference"),
        Binding("s", "stamp", "Stamp", tooltip="plan to set the current revision to the revision at the cursor"),
        Binding("f", "repair('finish')", "Finish", tooltip="plan to run the missing operations of the revision"),
        Binding("U", "repair('undo')", "Undo", tooltip="plan to reverse the operations of the revision"),
        Binding("v", "verify", "Verify", tooltip="compare the live schema with the one that the scripts make"),
        Binding("r", "again", "Read again", tooltip="read the scripts and the schema again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chain: Chain | None = None
        self._conclusion: Conclusion | None = None
        self._is_placed = False  # whether the cursor is on the revision that matters most

    def compose_body(self) -> ComposeResult:
        with VerticalScroll(id="conclusion"):
            yield Static(id="sentences", markup=False)
        yield Rows(id="evidence-rows", empty="nothing to compare")

    def on_mount(self) -> None:
        self.entitle((" Evidence", STRONG), f"   {self.magetui.database_label}")
        self.query_one(Rows).focus_lines()
        self.action_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Allow what needs a conclusion: details, finish and undo of a partially applied revision, or else a stamp."""
        conclusion = self._conclusion
        match action:
            case "details":
                return conclusion is not None and bool(conclusion.details)
            case "stamp":
                return conclusion is not None and conclusion.partial is None
            case "repair":
                return conclusion is not None and conclusion.partial is not None
        return True

    # -- reading

    def action_again(self) -> None:
        self.query_one("#sentences", Static).update(Content.styled("reading the scripts and the schema …", QUIET))
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
                evidence = gather_evidence(reading)
                table = reading.overview.version_table
        except (MagetuiError, OSError) as error:
            self.call_later(self._gathered, None, None, str(error))
            return
        self.call_later(self._gathered, chain, conclude(chain, evidence, table, workspace.target.clean))

    def _gathered(self, chain: Chain | None, conclusion: Conclusion | None, problem: str = "") -> None:
        self._chain, self._conclusion = chain, conclusion
        self.mark_read()
        self.refresh_bindings()
        sentences, rows = self.query_one("#sentences", Static), self.query_one(Rows)
        if chain is None or conclusion is None:
            heading = ("The schema could not be examined. ", WARNING)
            sentences.update(Content.assemble(heading, formats.plain(self.magetui.advise(problem))))
            rows.show(lambda _width: ())
            return
        first, *others = self._sentences(conclusion)
        sentences.update(Content("\n").join([Content.styled(first, STRONG), *map(Content, others)]))
        rows.show(lambda width: evidence_rows(chain, conclusion, width))
        start = conclusion.partial or _matters_most(conclusion)
        if start is not None and not self._is_placed:
            self._is_placed = True
            rows.select(start)

    # -- opening

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        if self._chain is None or self._conclusion is None:
            return
        evidence = next(evidence for evidence in self._conclusion.revisions if evidence.revision == event.key)
        self.app.push_screen(RevisionScreen(self._chain.by_id[event.key], self._chain, evidence))

    def action_repair(self, name: ChangeVerb) -> None:
        self.magetui.action_change(name)

    def action_verify(self) -> None:
        self.app.push_screen(VerifyScreen())

    def action_stamp(self) -> None:
        self.magetui.action_change("stamp", self.query_one(Rows).selected)

    def action_details(self) -> None:
        conclusion = self._conclusion
        if conclusion is not None:
            width = max(30, self.size.width - 4)
            details = [line for state, text in conclusion.details for line in hanging(f"{state:<9} ", text, width)]
            lines = [*map(Content, self._sentences(conclusion)), Content(""), *details]
            self.app.push_screen(TextScreen("Evidence", Content("\n").join(lines)))

    def _sentences(self, conclusion: Conclusion) -> list[str]:
        """Return the sentences, and the key of the next step on a line of its own."""
        cursor = ", with the cursor on its line" if conclusion.partial is None else ""
        command = [f"  {formats.plain(self.magetui.advise(conclusion.command))}{cursor}"] if conclusion.command else []
        return [*map(self.magetui.advise, conclusion.sentences), *command]


def _matters_most(conclusion: Conclusion) -> str | None:
    """Return the current revision if it matches, else the newest one that does: the next step would stamp it."""
    names = [evidence.revision for evidence in conclusion.revisions]
    current = [name for name in names if name in conclusion.current]
    matching = [name for name in names if name in conclusion.candidates]
    chosen = [name for name in current if name in matching] or matching or current
    return chosen[0] if chosen else None


def evidence_rows(chain: Chain, conclusion: Conclusion, width: int) -> list[Row]:
    """Return a row for each revision: current or not, its state, whether the schema matches it, id and message."""
    rows = []
    for evidence in conclusion.revisions:
        name = evidence.revision
        is_current, matches = name in conclusion.current, name in conclusion.candidates
        message = formats.plain(chain.by_id[name].message)
        content = Content.assemble(
            ("▶ " if is_current else "  ", STRONG),
            (fitted(evidence.state, STATE_WIDTH), STATE_STYLES[evidence.state]),
            (fitted("match" if matches else "", MATCH_WIDTH), STRONG),
            (fitted(formats.plain(name), ID_WIDTH), STRONG if is_current or matches else ""),
            fitted(message, max(8, width - 2 - STATE_WIDTH - MATCH_WIDTH - ID_WIDTH)),
        )
        rows.append(Row(name, content, f"{content.plain} {message}"))
    return rows
