"""The revision screen: one revision's header, its operations in both directions, its evidence, its SQL, its script."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from rich.syntax import Syntax
from textual import on, work
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from magetui.engine.errors import MagetuiError
from magetui.text import formats, operations
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import ScrolledScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.evidence_rows import STATE_STYLES
from magetui.tui.widgets.hanging import hanging

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.evidence.verdict import RevisionEvidence
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.revisions.headers import Revision
    from magetui.model.plan import PlanStep

Direction = Literal["upgrade", "downgrade"]
Sentences = Mapping[Direction, tuple[str, ...]]

SOURCE_LIMIT = 400_000  # characters; the rest of a longer script is not shown
SQL_LINES = 400  # in each direction
MARGIN = 4  # columns of the text's margin and the scrollbar
UNCUT = 2_000  # columns of a script's SQL that are read; the screen cuts them at its own width
DIRECTIONS: Mapping[Direction, str] = {"upgrade": "Up", "downgrade": "Down"}
PARTS = ("header", "operations", "evidence", "sql", "source")
FACT_STYLES = {"missing": WARNING, "still there": WARNING}


class RevisionScreen(ScrolledScreen):
    NAME = "Revision"
    ABOUT = (
        "One revision on one page: its header, its operations up and down, the evidence that the schema shows, the SQL "
        "that it would run, and its script. n goes to the next part, N to the one before. To list the operations, "
        "magetui calls the script's functions with operations that do nothing. The database is only read."
    )
    BINDINGS = [
        Binding("n", "next_part", "Next part", tooltip="go to its next part: operations, evidence, SQL, script"),
        Binding("N", "previous_part", "Previous part", tooltip="go back to the part before"),
        Binding("S", "sql", "SQL", tooltip="render the SQL that it would run; nothing is run"),
    ]

    def __init__(self, revision: Revision, chain: Chain, evidence: RevisionEvidence | None = None) -> None:
        super().__init__()
        self._revision = revision
        self._chain = chain
        self._source = _source(revision)
        self._docstring = _docstring(self._source).splitlines()
        self._evidence = evidence
        self._sentences: Sentences | None = None
        self._rendering = False
        self._steps: tuple[PlanStep, ...] | None = None
        self._problems: dict[str, str] = {}  # by part

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            for part in ("header", "operations", "evidence", "sql"):
                yield Static(id=part, classes="part", markup=False)
            yield Static(Content.styled("Source", STRONG), id="source", markup=False)
            yield Static(_highlighted(self._source))

    def on_mount(self) -> None:
        name, message = formats.plain(self._revision.revision), formats.plain(self._revision.message)
        self.entitle((f" {name}", STRONG), f"  {message}")
        self._describe()
        self._read()

    # -- reading

    @work(thread=True, exclusive=True, group="revision", exit_on_error=False)
    def _read(self) -> None:
        load_engine()
        from magetui.engine.evidence.evidence import gather_evidence
        from magetui.engine.evidence.recording import record_revisions
        from magetui.engine.schema.snapshot import open_reading

        workspace, name = self.magetui.open_workspace(), self._revision.revision
        try:
            recording = record_revisions(workspace, [name])[name]
            sentences = {
                direction: tuple(map(workspace.target.clean, operations.doings(recording.recorded(direction), UNCUT)))
                for direction in DIRECTIONS
            }
            self.call_later(self._recorded, sentences)
        except (MagetuiError, OSError) as error:
            self.call_later(self._recorded, {}, str(error))
        if self._evidence is not None:
            return
        try:
            with open_reading(workspace) as reading:
                revisions = {evidence.revision: evidence for evidence in gather_evidence(reading).revisions}
            self.call_later(self._weighed, revisions[name])
        except (MagetuiError, OSError) as error:
            self.call_later(self._weighed, None, str(error))

    @work(thread=True, exclusive=True, group="sql", exit_on_error=False)
    def _render_sql(self) -> None:
        load_engine()
        from magetui.engine.plan import render_plan
        from magetui.engine.schema.snapshot import Reading
        from magetui.model.plan import Plan, PlannedStep

        name, message = self._revision.revision, self._revision.message
        steps = tuple(PlannedStep(name, direction, message) for direction in DIRECTIONS)
        # An upgrade and its downgrade: a plan that nobody runs.
        plan = Plan("migrate", (), name, steps, (name,), (), database="", url="")
        try:
            self.call_later(self._rendered, render_plan(Reading(self.magetui.open_workspace()), plan))
        except MagetuiError as error:
            self.call_later(self._rendered, (), error.message)

    def read_again(self) -> None:
        """Read the evidence again: a run may have changed the schema while another screen was in front."""
        self._evidence = None
        self._read()

    def _recorded(self, sentences: Sentences, problem: str = "") -> None:
        self._sentences, self._problems["operations"] = sentences, problem
        self._describe()

    def _weighed(self, evidence: RevisionEvidence | None, problem: str = "") -> None:
        self._evidence, self._problems["evidence"] = evidence, problem
        self.mark_read()
        self._describe()

    def _rendered(self, steps: tuple[PlanStep, ...], problem: str = "") -> None:
        self._steps, self._problems["sql"] = steps, problem
        self._describe()
        self.call_after_refresh(self._go_to, "sql")

    # -- moving

    def _go_to(self, part: str) -> None:
        self.query_one(VerticalScroll).scroll_to_widget(self.query_one(f"#{part}"), top=True, animate=False)

    def _tops(self) -> dict[str, int]:
        """Return the line of each part in the text."""
        return {part: self.query_one(f"#{part}").virtual_region.y for part in PARTS}

    def action_next_part(self) -> None:
        line = self.query_one(VerticalScroll).scroll_offset.y
        self._go_to(next((part for part, top in self._tops().items() if top > line), PARTS[-1]))

    def action_previous_part(self) -> None:
        line = self.query_one(VerticalScroll).scroll_offset.y
        self._go_to(next((part for part, top in reversed(self._tops().items()) if top < line), PARTS[0]))

    def action_sql(self) -> None:
        if self._steps is None and not self._rendering:
            self._rendering = True
            self._describe()
            self._render_sql()
        self._go_to("sql")

    # -- the parts

    @on(Resize)
    def _describe(self) -> None:
        for part, lines in (
            ("header", self._header()),
            ("operations", self._operations()),
            ("evidence", self._evidence_lines()),
            ("sql", self._sql()),
        ):
            self.query_one(f"#{part}", Static).update(Content("\n").join(lines))

    @property
    def _width(self) -> int:
        return max(30, self.size.width - MARGIN)

    def _header(self) -> list[Content]:
        from magetui.engine.project.releases import origin_of

        revision = self._revision
        origin = origin_of(revision.revision, self._chain)
        first = None if origin.release_range else origin.first
        children = [r.revision for r in self._chain.revisions if revision.revision in r.down_revisions]
        facts = [
            ("follows", ", ".join(revision.down_revisions) or "nothing: it is a base"),
            ("followed by", ", ".join(reversed(children)) or "nothing: it is a head"),
            ("depends on", ", ".join(revision.depends_on)),
            ("labels", ", ".join(revision.branch_labels)),
            ("created", revision.created or ""),
            ("head of", origin.release_range or ""),
            ("first in", f"mage-ai {first}; no release stopped at it" if first else ""),
            ("its Mage", origin.command or ""),
        ]
        lines = [line for name, value in facts if value for line in self._wrapped(f"{name:<12}", value)]
        path, room, label = formats.plain(str(revision.path)), self._width - 12, "file"
        while path:  # not cut, so that it can be copied
            end = len(path) if len(path) <= room else path.rfind("/", 1, room) + 1 or room
            lines.append(Content.assemble((f"{label:<12}", QUIET), path[:end]))
            path, label = path[end:], ""
        docstring = [Content(formats.plain(line)) for line in self._docstring]
        return [*lines, Content(""), *docstring] if docstring else lines

    def _operations(self) -> list[Content]:
        if self._sentences is None:
            return [Content.styled("Up", STRONG), Content.styled("  reading the operations of the script …", QUIET)]
        if problem := self._problems.get("operations"):
            return [Content.styled("Up and down", STRONG), *self._wrapped("  ", problem, WARNING)]
        lines = []
        for direction, heading in DIRECTIONS.items():
            lines.append(Content.styled(heading, STRONG))
            for sentence in self._sentences[direction]:
                lines += self._wrapped("  ", self._cut(sentence))
        return lines

    def _cut(self, sentence: str) -> str:
        """Return a script's SQL cut to one line, and any other sentence complete."""
        return formats.one_line(sentence, self._width - 2) if sentence.startswith(operations.RUNS_SQL) else sentence

    def _evidence_lines(self) -> list[Content]:
        from magetui.text import evidence as conclusions

        lines = [Content.styled("Evidence", STRONG)]
        if problem := self._problems.get("evidence"):
            return [*lines, *self._wrapped("  ", problem, WARNING)]
        if self._evidence is None:
            return [*lines, Content.styled("  reading the scripts and the schema …", QUIET)]
        state = STATE_STYLES[self._evidence.state]
        lines += self._wrapped("  ", formats.plain(conclusions.describe_state(self._evidence)), state)
        for label, fact in conclusions.results(self._evidence):
            lines += self._wrapped(f"  {label:<12}", fact, FACT_STYLES.get(label, ""))
        return lines

    def _wrapped(self, before: str, text: str, style: str = "") -> list[Content]:
        """Return a text behind a label, wrapped at the screen's width."""
        return hanging(before, self.magetui.advise(text), self._width, style)

    def _sql(self) -> list[Content]:
        lines = [Content.styled("SQL", STRONG)]
        if problem := self._problems.get("sql"):
            return [*lines, *self._wrapped("  ", problem, WARNING)]
        if self._steps is None:
            hint = "rendering the SQL …" if self._rendering else "S renders the SQL, up and down"
            return [*lines, Content.styled(f"  {hint}", QUIET)]
        for heading, step in zip(DIRECTIONS.values(), self._steps, strict=True):
            lines.append(Content.styled(f"  {heading}", STRONG))
            sql = [line for line in (step.sql or "").splitlines() if line.strip()]
            for line in sql[:SQL_LINES]:
                lines += hanging("    ", line, self._width)
            if len(sql) > SQL_LINES:
                lines.append(Content.styled(f"    and {len(sql) - SQL_LINES} more lines", QUIET))
            if step.problem:
                lines += self._wrapped("    ", step.problem, QUIET)
            elif not sql:
                lines.append(Content.styled("    none", QUIET))
        return lines


def _source(revision: Revision) -> str:
    try:
        return revision.path.read_text(encoding="utf-8", errors="replace")[:SOURCE_LIMIT]
    except OSError as error:
        return f"# The file cannot be read: {error.strerror}."


def _docstring(source: str) -> str:
    """Return a script's docstring without the message, which is in the title."""
    from magetui.engine.revisions.syntax import tree_of

    try:
        text = ast.get_docstring(tree_of(source)) or ""
    except (SyntaxError, ValueError):  # cut at the limit, or changed since the chain was read
        return ""
    return text.partition("\n\n")[2].strip()


def _highlighted(source: str) -> Syntax:
    """Return a script's text in the terminal's own colours. Control characters are shown as text."""
    safe = "\n".join(formats.plain(line) for line in source.splitlines())
    return Syntax(safe, "python", theme="ansi_dark", background_color="default", word_wrap=True)
