"""The evidence screen: which revision the schema fits, and what it shows of each, whatever the current revision says.

The sentences come first, since they are what somebody in an incident wants; the list below is what they rest on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Static

from magetui.tui.loading import load_engine
from magetui.tui.panes.revisions import ID_WIDTH
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.revision import STATE_STYLES, RevisionScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.model.plan import ChangeVerb
    from magetui.text.evidence import Conclusion

STATE_WIDTH = 13
MARK_WIDTH = 8


class EvidenceScreen(OverScreen):
    """What the schema says, in sentences and revision by revision."""

    NAME = "Evidence"
    ABOUT = (
        "Which revision the live schema fits, worked out from what each script does, and compared with the current revision. "
        "Below, newest first, what the schema shows of each revision: applied, missing, partial, superseded by later "
        "ones, or undecidable; ▶ is the current revision. Enter opens a revision; o tells all, with every operation of one that "
        "is half there, or every difference; s shows what stamping the one under the cursor would do. It is evidence "
        "and no proof, and nothing is stamped by itself."
    )
    BINDINGS = [
        Binding("o", "whole", "All of it", tooltip="tell all, with every operation or difference"),
        Binding("s", "stamp", "Stamp", tooltip="plan to set the current revision to the revision under the cursor"),
        Binding("f", "repair('finish')", "Finish", tooltip="plan to do what is missing of a half revision"),
        Binding("U", "repair('undo')", "Undo", tooltip="plan to take back what is done of a half revision"),
        Binding("r", "again", "Read again", tooltip="read the scripts and the schema again"),
    ]

    class Gathered(Message):
        """The evidence was gathered, or could not be (`problem`)."""

        def __init__(self, chain: Chain | None, found: Conclusion | None, problem: str = "") -> None:
            self.chain = chain
            self.found = found
            self.problem = problem
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._chain: Chain | None = None
        self._found: Conclusion | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll(id="conclusion", can_focus=False):
            yield Static(id="said", markup=False)
        yield Rows(id="evidence-rows", empty="nothing to compare")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((" Evidence", STRONG), f"   {self.magetui.place}")
        self.query_one(Rows).focus_lines()
        self.action_again()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Whether there is a half revision to finish, or to undo; else a revision to stamp."""
        if action == "stamp":
            return self._found is not None and self._found.partial is None
        return action != "repair" or (self._found is not None and self._found.partial is not None)

    # -- asking

    def action_again(self) -> None:
        self.query_one("#said", Static).update(Content.styled("reading the scripts and the schema …", QUIET))
        self._gather()

    @work(thread=True, exclusive=True, group="evidence", exit_on_error=False)
    def _gather(self) -> None:
        load_engine()
        from magetui.engine.errors import MagetuiError
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
            self.post_message(self.Gathered(None, None, str(error)))
            return
        self.post_message(self.Gathered(chain, conclude(chain, evidence, table, workspace.target.clean)))

    def on_evidence_screen_gathered(self, message: Gathered) -> None:
        from magetui.text import formats

        self._chain, self._found = message.chain, message.found
        self.refresh_bindings()
        said = self.query_one("#said", Static)
        if message.chain is None or message.found is None:
            said.update(
                Content.assemble(("Nothing can be said of the schema. ", WARNING), formats.plain(message.problem))
            )
            self.query_one(Rows).show(lambda _width: ())
            return
        first, *others = message.found.sentences
        lines = [Content.styled(first, STRONG), *map(Content, others)]
        if message.found.command:
            lines.append(Content.styled(f"  {formats.plain(message.found.command)}", "ansi_cyan"))
        said.update(Content("\n").join(lines))
        chain, found = message.chain, message.found
        rows = self.query_one(Rows)
        rows.show(lambda width: evidence_rows(chain, found, width))
        first_of_all = found.partial or next(
            (one.revision for one in found.revisions if one.revision in found.current), None
        )
        if first_of_all is not None:
            rows.select(first_of_all)

    # -- opening

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        if self._chain is None or self._found is None:
            return
        evidence = next(one for one in self._found.revisions if one.revision == event.key)
        self.app.push_screen(RevisionScreen(self._chain.by_id[event.key], self._chain, evidence))

    def action_repair(self, name: ChangeVerb) -> None:
        self.magetui.action_change(name)

    def action_stamp(self) -> None:
        self.magetui.action_change("stamp", self.query_one(Rows).selected)

    def action_whole(self) -> None:
        from magetui.tui.screens.details import TextScreen

        found = self._found
        if found is not None:
            command = [f"  {found.command}"] if found.command else []
            details = [f"{state:<9} {text}" for state, text in found.details]
            self.app.push_screen(TextScreen("Evidence", "\n".join([*found.sentences, *command, "", *details])))


def evidence_rows(chain: Chain, found: Conclusion, width: int) -> list[Row]:
    """A row a revision: whether it is the current revision, its state, whether the schema fits it, id and message."""
    from magetui.text import formats

    rows = []
    for one in found.revisions:
        here, fits = one.revision in found.current, one.revision in found.candidates
        message = formats.plain(chain.by_id[one.revision].message)
        content = Content.assemble(
            ("▶ " if here else "  ", STRONG),
            (fitted(one.state, STATE_WIDTH), STATE_STYLES[one.state]),
            (fitted("matches" if fits else "", MARK_WIDTH), STRONG),
            (fitted(formats.plain(one.revision), ID_WIDTH), STRONG if here or fits else ""),
            fitted(message, max(8, width - 2 - STATE_WIDTH - MARK_WIDTH - ID_WIDTH)),
        )
        rows.append(Row(one.revision, content, f"{content.plain} {message}"))
    return rows
