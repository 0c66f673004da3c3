"""Screens that show one thing: a revision's script, the runs on record, help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.syntax import Syntax
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from magetui.tui.panes.log import STYLES, local_time
from magetui.tui.rows import Row, Rows, fitted
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.run import RunScreen
from magetui.tui.theme import QUIET, STRONG

if TYPE_CHECKING:
    from magetui.engine.chain import Revision
    from magetui.engine.runs import RunRecord

SOURCE_LIMIT = 400_000  # characters; a longer script is shown up to here


class ScrolledScreen(OverScreen):
    """A screen of text to scroll."""

    BINDINGS = [
        Binding("j,down", "scroll('down')", "Down", show=False),
        Binding("k,up", "scroll('up')", "Up", show=False),
        Binding("g,home", "scroll('home')", "Top", show=False),
        Binding("G,end", "scroll('end')", "End", show=False),
        Binding("ctrl+d,pagedown,space", "scroll('page_down')", "Page down", show=False),
        Binding("ctrl+u,pageup", "scroll('page_up')", "Page up", show=False),
    ]

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)


class RevisionScreen(ScrolledScreen):
    """One revision: its header and its script."""

    NAME = "Revision"
    ABOUT = "A revision's header and its script, as it stands in the file. Nothing of it is run."

    def __init__(self, revision: Revision) -> None:
        super().__init__()
        self._revision = revision

    def compose(self) -> ComposeResult:
        from magetui import words
        from magetui.engine.mage import spoken_releases

        one = self._revision
        facts = [
            ("follows", ", ".join(one.down_revisions) or "nothing: it is a base"),
            ("depends on", ", ".join(one.depends_on)),
            ("labels", ", ".join(one.branch_labels)),
            ("created", one.created or ""),
            ("head of", spoken_releases(one.revision) or ""),
            ("file", str(one.path)),
        ]
        lines = [Content.assemble((f"{name:<11}", QUIET), words.plain(value)) for name, value in facts if value]
        try:
            source = one.path.read_text(encoding="utf-8", errors="replace")[:SOURCE_LIMIT]
        except OSError as error:
            source = f"# The file cannot be read: {error}"
        safe = "\n".join(words.plain(line) for line in source.splitlines())
        yield Static(id="title", markup=False)
        with VerticalScroll():
            yield Static(Content("\n").join([*lines, Content("")]), markup=False)
            yield Static(Syntax(safe, "python", theme="ansi_dark", background_color="default", word_wrap=True))
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        from magetui import words

        self.entitle((f" {words.plain(self._revision.revision)}", STRONG), f"  {words.plain(self._revision.message)}")


class TextScreen(ScrolledScreen):
    """One text, whole: what its line had no room for."""

    NAME = "Text"
    ABOUT = "One entry of the log in full."

    def __init__(self, heading: str, text: str) -> None:
        super().__init__()
        self._heading = heading
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll():
            yield Static(Content(self._text), markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((f" {self._heading}", STRONG))


class HelpScreen(ScrolledScreen):
    """What has the focus, and every key."""

    NAME = "Help"

    def __init__(
        self, subject: str, about: str, keys: Sequence[tuple[str, str]], verbs: Sequence[tuple[str, str, str]]
    ) -> None:
        super().__init__()
        self._subject = subject
        self._about = about
        self._keys = keys
        self._verbs = verbs

    def compose(self) -> ComposeResult:
        lines = [
            Content.styled(self._subject, STRONG),
            Content(self._about),
            Content(""),
            Content.styled("Keys", STRONG),
        ]
        lines += [Content.assemble((f"  {key:<16}", STRONG), what) for key, what in self._keys]
        lines += [Content(""), Content.styled("Verbs, here and on the command line", STRONG)]
        for key, name, summary in self._verbs:
            lines.append(Content.assemble((f"  {key:<4}", STRONG), f"magetui {name:<10}", (f" {summary}", QUIET)))
        yield Static(" Help", id="title", markup=False)
        with VerticalScroll():
            yield Static(Content("\n").join(lines), markup=False)
        yield Footer(show_command_palette=False, compact=True)


class RunsScreen(OverScreen):
    """The runs on record; enter opens one."""

    NAME = "Runs"
    ABOUT = "Every run on record, newest first. Enter shows what happened in it, or follows it while it goes on."

    def __init__(self, records: Sequence[RunRecord]) -> None:
        super().__init__()
        self._records = records

    def compose(self) -> ComposeResult:
        yield Static(f" Runs   {len(self._records)} on record", id="title", markup=False)
        yield Rows(empty="no runs on record")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        rows = self.query_one(Rows)
        rows.show(lambda width: run_rows(self._records, width))
        rows.focus_lines()

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        self.app.push_screen(RunScreen(int(event.key)))


def run_rows(records: Sequence[RunRecord], width: int) -> list[Row]:
    """A row a run: number, when, verb, outcome, way, who."""
    from magetui import words

    rows = []
    for record in records:
        way = f"{words.marker(record.marker_before)} → {record.target}"
        who = f"{record.user}@{record.host}"
        room = max(10, width - 5 - 16 - 10 - 12 - 30)
        content = Content.assemble(
            (f"{record.run:>4} ", STRONG),
            (fitted(local_time(record.started), 16), QUIET),
            fitted(record.verb, 10),
            (fitted(record.outcome, 18), STYLES.get(record.outcome, "")),
            fitted(words.plain(way), 34),
            (fitted(words.plain(who), room), QUIET),
        )
        rows.append(Row(str(record.run), content, content.plain))
    return rows
