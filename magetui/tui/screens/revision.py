"""The revision screen: what one revision is, what it does each way, what is there of it, its SQL and its script.

The header and the script are in the file and shown at once. What it does and what is there of it have to be asked of
the scripts' code and of the database, and follow from a worker. Its SQL is rendered when it is asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from rich.syntax import Syntax
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Footer, Static

from magetui.tui.loading import load_engine
from magetui.tui.screens.details import ScrolledScreen
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING

if TYPE_CHECKING:
    from magetui.engine.evidence.verdict import RevisionEvidence
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.revisions.headers import Revision
    from magetui.model.plan import PlanStep

Way = Literal["upgrade", "downgrade"]
Ways = Mapping[Way, tuple[str, ...]]  # sentences, by direction
Part = Literal["operations", "evidence", "sql"]

SOURCE_LIMIT = 400_000  # characters; a longer script is shown up to here
SQL_LINES = 400  # each way
MARGIN = 4  # of the text, and the scrollbar
UNCUT = 2_000  # columns of a script's SQL that are kept; the screen cuts them at its own width
DIRECTIONS: Mapping[Way, str] = {"upgrade": "Up", "downgrade": "Down"}
STATE_STYLES = {"applied": GOOD, "missing": WARNING, "partial": CRITICAL, "superseded": GOOD, "undecidable": QUIET}
SEEN_STYLES = {"missing": WARNING, "still there": WARNING}


class RevisionScreen(ScrolledScreen):
    """One revision, whole, on one page; a key brings each part of it to the top."""

    NAME = "Revision"
    ABOUT = (
        "One revision on one page: its header, what it does up and down, what the schema shows of it, the SQL that it "
        "would run, and its script as it stands in the file. To learn what it does, its functions are called with "
        "operations that do nothing; the database is only read."
    )
    BINDINGS = [
        Binding("o", "part('operations')", "Operations", tooltip="what it does, up and down"),
        Binding("e", "part('evidence')", "Evidence", tooltip="what the schema shows of it"),
        Binding("s", "sql", "SQL", tooltip="render the SQL it would run, up and down; nothing is run"),
        Binding("v", "part('source')", "Source", tooltip="its script"),
    ]

    class Recorded(Message):
        """What the revision does is known, or cannot be (`problem`)."""

        def __init__(self, ways: Ways, problem: str = "") -> None:
            self.ways = ways
            self.problem = problem
            super().__init__()

    class Weighed(Message):
        """What the schema shows of it is known, or cannot be (`problem`)."""

        def __init__(self, evidence: RevisionEvidence | None, problem: str = "") -> None:
            self.evidence = evidence
            self.problem = problem
            super().__init__()

    class Rendered(Message):
        """Its SQL was rendered, or could not be (`problem`)."""

        def __init__(self, steps: tuple[PlanStep, ...], problem: str = "") -> None:
            self.steps = steps
            self.problem = problem
            super().__init__()

    def __init__(self, revision: Revision, chain: Chain, evidence: RevisionEvidence | None = None) -> None:
        super().__init__()
        self._revision = revision
        self._chain = chain
        self._source = _source(revision)
        self._docstring = _docstring(self._source).splitlines()
        self._evidence = evidence
        self._ways: Ways | None = None
        self._rendering = False
        self._steps: tuple[PlanStep, ...] | None = None
        self._problems: dict[Part, str] = {}

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll():
            yield Static(id="header", classes="part", markup=False)
            yield Static(id="operations", classes="part", markup=False)
            yield Static(id="evidence", classes="part", markup=False)
            yield Static(id="sql", classes="part", markup=False)
            yield Static(Content.styled("Source", STRONG), id="source", markup=False)
            yield Static(_highlighted(self._source))
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        from magetui.text import formats

        self.entitle(
            (f" {formats.plain(self._revision.revision)}", STRONG), f"  {formats.plain(self._revision.message)}"
        )
        self._describe()
        self._ask()

    def on_resize(self, _event: Resize) -> None:
        self._describe()

    # -- asking

    @work(thread=True, exclusive=True, group="revision", exit_on_error=False)
    def _ask(self) -> None:
        load_engine()
        from magetui.engine.errors import MagetuiError
        from magetui.engine.evidence.evidence import gather_evidence
        from magetui.engine.evidence.recording import record_revisions
        from magetui.engine.schema.snapshot import open_reading
        from magetui.text import operations

        workspace, name = self.magetui.open_workspace(), self._revision.revision
        try:
            recording = record_revisions(workspace, [name])[name]
            ways = {
                direction: tuple(map(workspace.target.clean, operations.doings(recording.recorded(direction), UNCUT)))
                for direction in DIRECTIONS
            }
            self.post_message(self.Recorded(ways))
        except (MagetuiError, OSError) as error:
            self.post_message(self.Recorded({}, str(error)))
        if self._evidence is not None:
            return
        try:
            with open_reading(workspace) as reading:
                found = {one.revision: one for one in gather_evidence(reading).revisions}
            self.post_message(self.Weighed(found[name]))
        except (MagetuiError, OSError) as error:
            self.post_message(self.Weighed(None, str(error)))

    @work(thread=True, exclusive=True, group="sql", exit_on_error=False)
    def _render_sql(self) -> None:
        load_engine()
        from magetui.engine.errors import MagetuiError
        from magetui.engine.plan import render_plan
        from magetui.engine.schema.snapshot import Reading
        from magetui.model.plan import Plan, PlannedStep

        name, message = self._revision.revision, self._revision.message
        steps = tuple(PlannedStep(name, direction, message) for direction in DIRECTIONS)
        # There and back: a plan that nobody runs.
        plan = Plan("migrate", (), name, steps, (name,), (), database="", url="")
        try:
            self.post_message(self.Rendered(render_plan(Reading(self.magetui.open_workspace()), plan)))
        except MagetuiError as error:
            self.post_message(self.Rendered((), error.message))

    def on_revision_screen_recorded(self, message: Recorded) -> None:
        self._ways = message.ways
        self._tell("operations", message.problem)

    def on_revision_screen_weighed(self, message: Weighed) -> None:
        self._evidence = message.evidence
        self._tell("evidence", message.problem)

    def on_revision_screen_rendered(self, message: Rendered) -> None:
        self._steps = message.steps
        self._tell("sql", message.problem)
        self.call_after_refresh(self.action_part, "sql")

    def _tell(self, part: Part, problem: str) -> None:
        if problem:
            self._problems[part] = problem
        self._describe()

    # -- moving

    def action_part(self, part: str) -> None:
        self.query_one(VerticalScroll).scroll_to_widget(self.query_one(f"#{part}"), top=True, animate=False)

    def action_sql(self) -> None:
        if self._steps is None and not self._rendering:
            self._rendering = True
            self._describe()
            self._render_sql()
        self.action_part("sql")

    # -- what is shown

    def _describe(self) -> None:
        for part, lines in (
            ("header", self._header()),
            ("operations", self._operations()),
            ("evidence", self._seen()),
            ("sql", self._sql()),
        ):
            self.query_one(f"#{part}", Static).update(Content("\n").join(lines))

    @property
    def _width(self) -> int:
        return max(30, self.size.width - MARGIN)

    def _header(self) -> list[Content]:
        from magetui.engine.project.releases import origin_of
        from magetui.text import formats

        one = self._revision
        origin = origin_of(one.revision, self._chain)
        children = [r.revision for r in self._chain.revisions if one.revision in r.down_revisions]
        facts = [
            ("follows", ", ".join(one.down_revisions) or "nothing: it is a base"),
            ("followed by", ", ".join(reversed(children)) or "nothing: it is a head"),
            ("depends on", ", ".join(one.depends_on)),
            ("labels", ", ".join(one.branch_labels)),
            ("created", one.created or ""),
            ("head of", origin.spoken or ""),
            (
                "first in",
                f"mage-ai {origin.first}; no release stopped at it" if origin.first and not origin.spoken else "",
            ),
            ("its Mage", origin.command or ""),
        ]
        lines = [line for name, value in facts if value for line in self._said(f"{name:<12}", value)]
        path, room = formats.plain(str(one.path)), self._width - 12
        for start in range(0, len(path), room):  # whole, to be copied: a path has no place to be wrapped at
            lines.append(Content.assemble((f"{'' if start else 'file':<12}", QUIET), path[start : start + room]))
        said = [Content(formats.plain(line)) for line in self._docstring]
        return [*lines, Content(""), *said] if said else lines

    def _operations(self) -> list[Content]:
        if self._ways is None:
            return [Content.styled("Up", STRONG), Content.styled("  asking the script what it does …", QUIET)]
        if problem := self._problems.get("operations"):
            return [Content.styled("Up and down", STRONG), *self._said("  ", problem, WARNING)]
        lines = []
        for direction, heading in DIRECTIONS.items():
            lines.append(Content.styled(heading, STRONG))
            for sentence in self._ways[direction]:
                lines += self._said("  ", self._cut(sentence))
        return lines

    def _cut(self, sentence: str) -> str:
        """A script's own SQL on one line; the other sentences are as long as they need to be."""
        from magetui.text import formats, operations

        return formats.one_line(sentence, self._width - 2) if sentence.startswith(operations.RUNS_SQL) else sentence

    def _seen(self) -> list[Content]:
        from magetui.text import evidence as conclusions
        from magetui.text import formats

        lines = [Content.styled("Evidence", STRONG)]
        if problem := self._problems.get("evidence"):
            return [*lines, *self._said("  ", problem, WARNING)]
        if self._evidence is None:
            return [*lines, Content.styled("  reading the scripts and the schema …", QUIET)]
        state = STATE_STYLES[self._evidence.state]
        lines += self._said("  ", formats.plain(conclusions.describe_state(self._evidence)), state)
        for label, fact in conclusions.seen(self._evidence):
            lines += self._said(f"  {label:<12}", fact, SEEN_STYLES.get(label, ""))
        return lines

    def _said(self, before: str, text: str, style: str = "") -> list[Content]:
        """A text behind a label, in lines of the screen's width, all but the first indented."""
        from magetui.text import formats
        from magetui.text.terminal import wrapped

        first, *more = wrapped(formats.plain(text), self._width - len(before))
        return [
            Content.assemble((before, QUIET), (first, style)),
            *(Content.assemble(" " * len(before), (line, style)) for line in more),
        ]

    def _sql(self) -> list[Content]:
        lines = [Content.styled("SQL", STRONG)]
        if problem := self._problems.get("sql"):
            return [*lines, *self._said("  ", problem, WARNING)]
        if self._steps is None:
            said = "rendering it …" if self._rendering else "s renders what it would run, up and down"
            return [*lines, Content.styled(f"  {said}", QUIET)]
        for heading, step in zip(DIRECTIONS.values(), self._steps, strict=True):
            lines.append(Content.styled(f"  {heading}", STRONG))
            sql = [line for line in (step.sql or "").splitlines() if line.strip()]
            for line in sql[:SQL_LINES]:
                lines += self._said("    ", line, "ansi_cyan")
            if len(sql) > SQL_LINES:
                lines.append(Content.styled(f"    and {len(sql) - SQL_LINES} more lines", QUIET))
            if step.problem:
                lines += self._said("    ", step.problem, QUIET)
            elif not sql:
                lines.append(Content.styled("    none", QUIET))
        return lines


def _source(revision: Revision) -> str:
    try:
        return revision.path.read_text(encoding="utf-8", errors="replace")[:SOURCE_LIMIT]
    except OSError as error:
        return f"# The file cannot be read: {error.strerror}."


def _docstring(source: str) -> str:
    """What a script says of itself, without the message, which is in the title."""
    from magetui.engine.revisions.syntax import tree_of

    try:
        text = ast.get_docstring(tree_of(source)) or ""
    except (SyntaxError, ValueError):  # cut at the limit, or changed since the chain was read
        return ""
    return text.partition("\n\n")[2].strip()


def _highlighted(source: str) -> Syntax:
    """A script's text in the terminal's own colours, with what a terminal would obey made visible."""
    from magetui.text import formats

    safe = "\n".join(formats.plain(line) for line in source.splitlines())
    return Syntax(safe, "python", theme="ansi_dark", background_color="default", word_wrap=True)
