"""Pane 1: the database, the state of its migrations, and the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from magetui.text import formats
from magetui.tui.panes.base import Pane
from magetui.tui.shell import shell_of
from magetui.tui.theme import CRITICAL, QUIET, SEVERITY_STYLES, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.scroll import END_KEYS, LINE_KEYS

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.diagnosis.finding import Finding

# The next step of a finding is the name of a key's action; these have another name.
NEXT_ACTIONS = {"history": "revisions", "diagnose": "refresh"}
CHECKING = "checking the schema …"
# If migrations are pending, these findings get the headline of a database that is behind.
BEHIND = ("behind", "migration-running", "leftover-type")
NEXT_WORDS = {
    "migrate": "run the pending migrations",
    "stamp": "set the current revision to a revision of the chain",
    "locks": "see the sessions",
    "runs": "see the run",
    "finish": "run its missing operations",
    "clean": "clean up what earlier runs left",
    "rollback": "roll back",
    "connect": "connect to another database",
    "history": "see the revisions",
    "schema": "see the tables",
    "evidence": "see which revision the schema matches",
    "refresh": "try again",
    "diagnose": "afterwards, read the database again",
    "trust": "decide whether its code may run",
}
# With these causes, the server may be reachable a moment later.
PASSING = frozenset({"refused", "timeout", "name", "too-many-connections"})


class ConnectionPane(Pane):
    NUMBER, NAME = 1, "Connection"
    ABOUT = "The database, the state of its migrations, and the key of the next step."
    BINDINGS = [*LINE_KEYS, *END_KEYS]

    def __init__(self) -> None:
        super().__init__(id="connection")
        self._plain = ""
        self._shown: tuple[Diagnosis, bool] | None = None  # the diagnosis, and whether the schema is being checked

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=True):
            yield Static("reading the database …", markup=False)

    def focus_content(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_scroll(self, direction: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{direction}")(animate=False)

    @property
    def text(self) -> str:
        return self._plain

    def show_diagnosis(self, diagnosis: Diagnosis, *, checking: bool = False) -> None:
        """Show the diagnosis. If the schema is still being checked, the state may change: say so beside it."""
        self._shown = diagnosis, checking
        self._update(Content("\n").join(self._lines(diagnosis, checking)))
        worst = diagnosis.findings[0]
        parts = (headline(diagnosis, worst), CHECKING if checking else "", self._next_words(worst))
        self.show_title(" · ".join(part for part in parts if part))

    def show_reading(self, label: str | None = None) -> None:
        """Show that the database is being read. A `label` means another database, so the old text goes."""
        self.show_title("reading …")
        if label is not None:
            self._shown = None
            self._update(Content(f"reading {label} …"))

    def show_problem(self, message: str) -> None:
        """Show why there is no diagnosis: no scripts, or no database named."""
        self._shown = None
        self.show_title("NOT READY")
        message = shell_of(self).advise(message)
        self._update(Content.assemble(("NOT READY\n", CRITICAL), message))
        self._plain = message

    def _update(self, content: Content) -> None:
        self._plain = content.plain
        self.query_one(Static).update(content)

    def _lines(self, diagnosis: Diagnosis, checking: bool) -> list[Content]:
        target, project = diagnosis.target, diagnosis.project
        reached = target.database is not None
        connected = formats.connected(target.url, target.address, target.tls)
        current = formats.with_releases(diagnosis.current, project.kind, " ") or "none"
        location = f"mage-ai {project.version or ''}" if project.kind == "mage" else str(project.location)
        worst = diagnosis.findings[0]
        lines = [
            Content.assemble(
                (headline(diagnosis, worst), SEVERITY_STYLES[worst.severity]),
                (f"   {CHECKING}" if checking else "", WARNING),
                ("   current ", QUIET),
                current if reached else "unknown",
                ("   head ", QUIET),
                formats.with_releases(diagnosis.heads, project.kind, " ") or "none",
            ),
            Content.assemble(
                ("source ", QUIET),
                formats.plain(target.source or ""),
                *((("   role ", QUIET), formats.plain(target.user)) if target.user else ()),
                *((("   connected", QUIET), formats.plain(connected)) if connected else ()),
                ("   project ", QUIET),
                formats.plain(location),
            ),
        ]
        for finding in diagnosis.findings:
            lines.extend(self._finding_lines(finding))
        if project.ran:
            lines.append(Content.assemble(("ran ", QUIET), formats.plain(", ".join(project.ran))))
        return lines

    def _finding_lines(self, finding: Finding) -> list[Content]:
        style = SEVERITY_STYLES[finding.severity]
        message = f"{finding.code}  {shell_of(self).advise(finding.message)}"
        first, *more = hanging("", message, self._width)
        code = len(finding.code)
        lines = [Content.assemble((first.plain[:code], style), first.plain[code:]), *(Content("  ") + m for m in more)]
        heading = "  next "
        for action, purpose in next_steps(finding):
            lines.append(Content.assemble((heading, QUIET), (self._key_of(action), STRONG), f"  {purpose}"))
            heading = "    or "
        return lines

    @property
    def _width(self) -> int:
        """The columns of a finding, with room for the indent of its lines and the scrollbar."""
        return max(30, self.size.width - 5)

    @on(Resize)
    def _resized(self) -> None:
        if self._shown is not None:
            self._update(Content("\n").join(self._lines(*self._shown)))

    def _key_of(self, action: str) -> str:
        return shell_of(self).key_of(NEXT_ACTIONS.get(action, action))

    def _next_words(self, worst: Finding) -> str:
        """Return the next key as part of a title: 'next m'."""
        return "".join(f"next {self._key_of(action)}" for action, _purpose in next_steps(worst)[:1])


def next_steps(finding: Finding) -> list[tuple[str, str]]:
    """Return the actions that help with a warning or a critical finding, each with its purpose, the likeliest first."""
    if finding.severity not in ("warning", "critical") or finding.next not in NEXT_WORDS:
        return []
    cause = finding.facts.get("cause") if finding.code == "cannot-connect" else None
    if cause == "password":
        return [("connect", "type the password")]
    actions = ["refresh", finding.next] if cause in PASSING else [finding.next]
    return [(action, NEXT_WORDS[action]) for action in actions]


def headline(diagnosis: Diagnosis, worst: Finding) -> str:
    """Return the state in capitals, for the pane's title and its first line: 'BEHIND BY 2'."""
    if worst.code in BEHIND and diagnosis.pending:
        return f"BEHIND BY {len(diagnosis.pending)}"
    if worst.severity == "ok":
        return "UP TO DATE"
    return worst.code.replace("-", " ").upper()
