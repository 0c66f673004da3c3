"""Pane 1: the state of the database's migrations with the key of the next step, and every finding.

The state is always in view. Below it stands one line for each finding, the worst first, with the full text of the
selected finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from magetui.text import formats
from magetui.text.headline import headline
from magetui.tui.panes.base import Pane
from magetui.tui.shell import shell_of
from magetui.tui.theme import CRITICAL, QUIET, SEVERITY_STYLES, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.diagnosis.finding import Finding

# The next step of a finding is the name of a key's action; these have another name.
NEXT_ACTIONS = {"history": "revisions", "diagnose": "refresh"}
CHECKING = "checking the schema …"
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
    "diagnose": "after the SQL of the finding, read the database again",
    "trust": "decide whether its code may run",
}
# With these causes, the server may be reachable a moment later.
PASSING = frozenset({"refused", "timeout", "name", "too-many-connections"})


MARKS = {"critical": "!", "warning": "!", "info": "·", "ok": "✓"}
CONNECTION = "connection"  # the key of the last row
KEY_WIDTH = 3

KeyOf = Callable[[str], str]


class ConnectionPane(Pane):
    NUMBER, NAME = 1, "Connection"
    ABOUT = (
        "The state of the database's migrations and the key of the next step; then one line for each finding, the "
        "worst first. The full text of the selected finding is below the lines; enter opens it on a screen of its "
        "own. The last line is the connection."
    )

    def __init__(self) -> None:
        super().__init__(id="connection")
        self._diagnosis: Diagnosis | None = None
        self._plain = ""
        self._is_final = True  # no finding is to come; until then, no next step is named, as another may come first

    def compose(self) -> ComposeResult:
        yield Static("reading the database …", id="state", markup=False)
        yield Static(id="position", markup=False)
        yield Rows(id="finding-rows", empty="")
        with VerticalScroll(id="finding"):
            yield Static(id="finding-text", markup=False)

    def focus_content(self) -> None:
        rows = self.query_one(Rows)
        if rows.display:
            rows.focus_lines()

    @property
    def text(self) -> str:
        return self._plain

    def show_diagnosis(self, diagnosis: Diagnosis, *, checking: bool = False) -> None:
        """Show the diagnosis. If the schema is still being checked, the state may change: say so beside it."""
        self._diagnosis = diagnosis
        worst = diagnosis.findings[0]
        self._is_final = not checking
        steps = next_steps(worst) if self._is_final else []
        state = Content.assemble(
            (headline(diagnosis, worst), SEVERITY_STYLES[worst.severity]),
            (f" · {CHECKING}" if checking else "", WARNING),
            *(
                part
                for number, (action, purpose) in enumerate(steps)
                for part in (
                    "   or " if number else " · next ",
                    (self._key_of(action), STRONG),
                    (f"  {purpose}", QUIET),
                )
            ),
        )
        self._show_state(state, _position(diagnosis))
        self.query_one(Rows).show(lambda width: self._rows(diagnosis, width))
        texts = ["\n".join(line.plain for line in self._finding_lines(finding)) for finding in diagnosis.findings]
        position = _position(diagnosis).plain
        connection = "\n".join(line.plain for line in _connection_lines(diagnosis))
        self._plain = "\n".join([state.plain, position, *texts, connection])
        self._show_selected()

    def show_reading(self, label: str | None = None) -> None:
        """Show that the database is being read. A `label` means another database, so the old facts go."""
        if label is None:
            self.query_one("#state", Static).update(Content.styled("reading …", QUIET))
        else:
            self._forget(Content(f"reading {label} …"))

    def show_problem(self, message: str) -> None:
        """Show why there is no diagnosis: no scripts, or no database named."""
        message = self._advise(message)
        self._forget(Content.styled("NOT READY", CRITICAL))
        self._plain = message
        self._show_text(Content(message))

    def _forget(self, state: Content) -> None:
        self._diagnosis = None
        self._plain = state.plain
        self._show_state(state, Content(""))
        self.query_one(Rows).display = False
        self._show_text(Content(""))

    def _show_state(self, state: Content, position: Content) -> None:
        self.query_one("#state", Static).update(state)
        line = self.query_one("#position", Static)
        line.display = bool(position)
        line.update(position)
        self.query_one(Rows).display = True

    # -- the selected finding

    @on(Rows.Moved, "#finding-rows")
    def _show_selected(self) -> None:
        if self._diagnosis is not None:
            lines = self._selected_lines(self._diagnosis)
            worst = self._diagnosis.findings[0]
            if lines == self._finding_lines(worst):  # the state line says its next step
                lines = lines[: len(lines) - len(next_steps(worst))] if self._is_final else lines
            self._show_text(Content("\n").join(lines))

    @on(Resize)
    def _resized(self) -> None:
        self._show_selected()

    def _show_text(self, text: Content) -> None:
        self.query_one("#finding", VerticalScroll).set_class(not text, "empty")
        self.query_one("#finding-text", Static).update(text)

    def selected_text(self) -> tuple[str, Content] | None:
        """Return the code and the text of the selected finding, or None if there is no diagnosis."""
        if self._diagnosis is None:
            return None
        key = self.query_one(Rows).selected or CONNECTION
        return key.partition(" ")[2] or CONNECTION, Content("\n").join(self._selected_lines(self._diagnosis))

    def _selected_lines(self, diagnosis: Diagnosis) -> list[Content]:
        key = self.query_one(Rows).selected
        numbered = {f"{number} {finding.code}": finding for number, finding in enumerate(diagnosis.findings)}
        finding = numbered.get(key or "") or (diagnosis.findings[0] if key != CONNECTION else None)
        return _connection_lines(diagnosis) if finding is None else self._finding_lines(finding)

    def _finding_lines(self, finding: Finding) -> list[Content]:
        style = SEVERITY_STYLES[finding.severity]
        message = f"{finding.code}  {self._advise(finding.message)}"
        first, *more = hanging("", message, self._width)
        code = len(finding.code)
        lines = [Content.assemble((first.plain[:code], style), first.plain[code:]), *(Content("  ") + m for m in more)]
        heading = "  next "
        for action, purpose in next_steps(finding) if self._is_final else ():
            lines.append(Content.assemble((heading, QUIET), (self._key_of(action), STRONG), f"  {purpose}"))
            heading = "    or "
        return lines

    @property
    def _width(self) -> int:
        """The columns of a finding, with room for the indent of its lines and the scrollbar."""
        return max(30, self.size.width - 7)

    def _rows(self, diagnosis: Diagnosis, width: int) -> list[Row]:
        return finding_rows(diagnosis, width, self._key_of if self._is_final else lambda _action: "", self._advise)

    def _advise(self, text: str) -> str:
        return shell_of(self).advise(text)

    def _key_of(self, action: str) -> str:
        return shell_of(self).key_of(NEXT_ACTIONS.get(action, action))


def _position(diagnosis: Diagnosis) -> Content:
    """Return the current revision and the head. The name of Mage is left out, so that both fit 80 columns."""

    def named(revisions: tuple[str, ...]) -> str:
        return formats.with_releases(revisions, diagnosis.project.kind, " ").replace("(mage-ai ", "(") or "none"

    reached = diagnosis.target.database is not None
    return Content.assemble(
        ("current ", QUIET),
        named(tuple(sorted(diagnosis.current))) if reached else "unknown",
        ("   head ", QUIET),
        named(tuple(sorted(diagnosis.heads))),
    )


def _connection_lines(diagnosis: Diagnosis) -> list[Content]:
    """Return what is known of the connection and of the project."""
    target, project = diagnosis.target, diagnosis.project
    connected = formats.connected(target.url, target.address, target.tls)
    location = f"mage-ai {project.version or ''}" if project.kind == "mage" else str(project.location)
    facts = [
        ("source", target.source or ""),
        ("role", target.user or ""),
        ("connected", connected.lstrip(", ").removeprefix("at ")),
        ("project", location),
        ("ran", ", ".join(project.ran)),
    ]
    return [Content.assemble((f"{name:<10}", QUIET), formats.plain(value.strip())) for name, value in facts if value]


def finding_rows(diagnosis: Diagnosis, width: int, key_of: KeyOf, advise: Callable[[str], str]) -> list[Row]:
    """Return a row for each finding, with the key of its next step if it is another one than in the row above."""
    rows: list[Row] = []
    before = ""
    for number, finding in enumerate(diagnosis.findings):
        style = SEVERITY_STYLES[finding.severity]
        key = next((key_of(action) for action, _purpose in next_steps(finding)[:1]), "")
        text = f"{finding.code}  {formats.one_line(advise(finding.message))}"
        line = fitted(text, max(10, width - 2 - KEY_WIDTH))
        code = len(finding.code)
        shown = "" if key == before else f"{key:>{KEY_WIDTH}}"
        content = Content.assemble(
            (f"{MARKS[finding.severity]} ", style), (line[:code], style), line[code:], (shown, STRONG)
        )
        copied = formats.plain(f"{finding.code}  {advise(finding.message)}")
        rows.append(Row(f"{number} {finding.code}", content, text, copied))
        before = key
    facts = "   ".join(re.sub(r" {2,}", " ", line.plain) for line in _connection_lines(diagnosis))
    rows.append(Row(CONNECTION, Content.styled(fitted(f"  {CONNECTION}  {facts}", width), QUIET), facts, facts))
    return rows


def next_steps(finding: Finding) -> list[tuple[str, str]]:
    """Return the actions that help with a warning or a critical finding, each with its purpose, the likeliest first."""
    if finding.severity not in ("warning", "critical") or finding.next not in NEXT_WORDS:
        return []
    cause = finding.facts.get("cause") if finding.code == "cannot-connect" else None
    if cause == "password":
        return [("connect", "type the password")]
    if finding.code == "behind" and finding.next == "history":
        return [("history", "choose a head"), ("migrate", "migrate to all heads")]
    if finding.code == "version-table-elsewhere":
        return [("connect", f"connect to the schema {' or '.join(map(str, finding.facts['schemas']))}")]
    if finding.next == "evidence" and finding.facts.get("partial"):
        return [("evidence", "see what is missing"), ("finish", "complete it")]
    actions = ["refresh", finding.next] if cause in PASSING else [finding.next]
    return [(action, NEXT_WORDS[action]) for action in actions]
