"""Pane 1: which database this is, what state its migrations are in, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from magetui.tui.panes.base import Pane
from magetui.tui.shell import shell_of
from magetui.tui.theme import CRITICAL, QUIET, SEVERITY_STYLES, STRONG

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.diagnosis.finding import Finding

# What a finding proposes has a key of the same name, but for the revisions' pane.
NEXT_ACTIONS = {"history": "revisions"}
BEHIND = ("behind", "migration-running", "leftover-type")  # the latter are told first where migrations are pending
NEXT_WORDS = {
    "migrate": "run the pending migrations",
    "stamp": "set the current revision to a revision the chain has",
    "locks": "see the sessions",
    "runs": "see the run",
    "finish": "do what is missing of it",
    "rollback": "go back",
    "connect": "connect to another database",
    "history": "see the revisions",
    "schema": "see the tables",
    "evidence": "see which revision the schema fits",
    "refresh": "try again",
}
# Why a server could not be reached, where that may be otherwise in a moment.
PASSING = frozenset({"refused", "timeout", "name", "too-many-connections"})


class ConnectionPane(Pane):
    """The diagnosis: headline, facts, and each finding with its next key."""

    NUMBER, NAME = 1, "Connection"
    ABOUT = "Which database this is, what state its migrations are in, and the key that does what comes next."
    BINDINGS = [
        Binding("j,down", "scroll('down')", "Down", show=False),
        Binding("k,up", "scroll('up')", "Up", show=False),
        Binding("g,home", "scroll('home')", "First", show=False),
        Binding("G,end", "scroll('end')", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="connection")
        self._plain = ""

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=True):
            yield Static("reading the database …", markup=False)

    def focus_target(self) -> Widget:
        return self.query_one(VerticalScroll)

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)

    @property
    def text(self) -> str:
        return self._plain

    def show_diagnosis(self, diagnosis: Diagnosis) -> None:
        content = Content("\n").join(self._lines(diagnosis))
        self._plain = content.plain
        self.query_one(Static).update(content)
        worst = diagnosis.findings[0] if diagnosis.findings else None
        self.tell_state(f"{headline(diagnosis, worst)}{self._next_words(worst)}" if worst else "")

    def show_reading(self, place: str | None = None) -> None:
        """The database is read anew; with a `place`, it is another one, and what was shown is not its."""
        self.tell_state("reading …")
        if place is not None:
            self._plain = f"reading {place} …"
            self.query_one(Static).update(Content(self._plain))

    def show_problem(self, message: str) -> None:
        """Where there is not even a diagnosis: no scripts, no database named."""
        self._plain = message
        self.tell_state("NOT READY")
        self.query_one(Static).update(Content.assemble(("NOT READY\n", CRITICAL), message))

    def _lines(self, diagnosis: Diagnosis) -> list[Content]:
        from magetui.engine.project.releases import release_range
        from magetui.text import formats

        mage = diagnosis.project.kind == "mage"

        def spoken(revisions: tuple[str, ...], none: str) -> str:
            said = []
            for one in revisions:
                release = release_range(one) if mage else None
                said.append(formats.plain(one) + (f" ({release})" if release else ""))
            return ", ".join(said) or none

        target, project = diagnosis.target, diagnosis.project
        reached = target.database is not None
        connected = formats.connected(target.url, target.address, target.tls)
        worst = diagnosis.findings[0]
        lines = [
            Content.assemble(
                (headline(diagnosis, worst), SEVERITY_STYLES[worst.severity]),
                ("   current revision ", QUIET),
                spoken(diagnosis.current, "none") if reached else "unknown",
                ("   head ", QUIET),
                spoken(diagnosis.heads, "none"),
            ),
            Content.assemble(
                ("source ", QUIET),
                formats.plain(target.source or ""),
                *((("   role ", QUIET), formats.plain(target.user)) if target.user else ()),
                *((("   connected", QUIET), formats.plain(connected)) if connected else ()),
                ("   project ", QUIET),
                formats.plain(f"mage-ai {project.version or ''}" if mage else str(project.location)),
            ),
        ]
        for finding in diagnosis.findings:
            lines.extend(self._finding_lines(finding))
        return lines

    def _finding_lines(self, finding: Finding) -> list[Content]:
        from magetui.text import formats

        style = SEVERITY_STYLES[finding.severity]
        lines = [Content.assemble((finding.code, style), "  ", formats.plain(finding.message))]
        heading = "  next "
        for action, said in next_steps(finding):
            lines.append(Content.assemble((heading, QUIET), (self._key_of(action), STRONG), f"  {said}"))
            heading = "    or "
        return lines

    def _key_of(self, action: str) -> str:
        return shell_of(self).key_of(NEXT_ACTIONS.get(action, action))

    def _next_words(self, worst: Finding) -> str:
        """The key that comes next, for a title: ' · next m'."""
        return "".join(f" · next {self._key_of(action)}" for action, _said in next_steps(worst)[:1])


def next_steps(finding: Finding) -> list[tuple[str, str]]:
    """What to do about a finding, where it is pressing: actions and what they are for, the likeliest first."""
    if finding.severity not in ("warning", "critical") or finding.next not in NEXT_WORDS:
        return []
    cause = finding.facts.get("cause") if finding.code == "cannot-connect" else None
    if cause == "password":
        return [("connect", "type the password")]
    actions = ["refresh", finding.next] if cause in PASSING else [finding.next]
    return [(action, NEXT_WORDS[action]) for action in actions]


def headline(diagnosis: Diagnosis, worst: Finding) -> str:
    """The state in capitals, as the title of the pane and the first word in it: 'BEHIND BY 2'."""
    if worst.code in BEHIND and diagnosis.pending:
        return f"BEHIND BY {len(diagnosis.pending)}"
    if worst.severity == "ok":
        return "UP TO DATE"
    return worst.code.replace("-", " ").upper()
