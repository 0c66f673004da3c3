"""The connect screen: choose another database by its name, from the recent ones, or by its URL."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from magetui.engine.errors import ConnectError, MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, QUIET, SEVERITY_STYLES, STRONG, WARNING
from magetui.tui.widgets.fields import SecretField, UrlField
from magetui.tui.widgets.rows import SCROLLBAR, Lines
from magetui.tui.widgets.target_choices import Choice, choice_rows, choices_of, schema_choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.events import Resize

    from magetui.engine.diagnosis.finding import Finding
    from magetui.engine.diagnosis.many import NamedDiagnosis
    from magetui.engine.target.selection import Selection

TYPED = "typed"
AT_ONCE = 4  # databases whose state is read at the same time
READING = "reading …"


class Choices(Lines):
    """The list. The field above keeps the focus, so the cursor is shown without the focus."""

    can_focus = False


class ConnectScreen(OverScreen):
    """A field that filters the list or takes a URL, a field for the password, and the list."""

    NAME = "Connect"
    ABOUT = (
        "Connect to another database. Type its URL, or type a part of its name and choose from the list with up and "
        "down. Enter connects. A password in a URL is hidden while you type. It is better to leave it out and to type "
        "it into its own field when the server asks for it. magetui does not store passwords. The current database "
        "stays until the new one is connected. f5 reads the state of every database in the list. Named targets are in "
        "the configuration file; 'magetui config' shows its path."
    )
    BINDINGS = [
        Binding("enter", "connect", "Connect"),
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move(-8)", "Up", show=False),
        Binding("pagedown", "move(8)", "Down", show=False),
        Binding("tab", "app.focus_next", "URL or password"),
        Binding("f5", "states", "States", tooltip="read the state of every database in the list"),
        Binding("f1", "app.help", "Help"),  # a question mark is text in a field
    ]

    def __init__(self) -> None:
        super().__init__()
        self._request = 0  # the number of the latest attempt; answers to earlier attempts are ignored
        self._choices: list[Choice] = []
        self._password_for: str | None = None  # the key of the choice that the password was typed for
        self._states: dict[str, tuple[str, str]] = {}  # of the choices that were read, each with its style

    def compose_body(self) -> ComposeResult:
        with Horizontal(classes="fields"):
            yield Static("find or URL  ", markup=False, classes="label")
            yield UrlField("The database's URL, or a part of a name below", "url")
        with Horizontal(classes="fields"):
            yield Static("password     ", markup=False, classes="label")
            yield SecretField("if the server asks for it and the URL has none", "password")
        yield Choices(markup=False, id="choices")
        yield Static(id="chosen", markup=False)
        yield Static(id="problem", markup=False)

    def on_mount(self) -> None:
        self.entitle((" Connect", STRONG), ("   now ", QUIET), self.magetui.database_label)
        self.query_one("#url", Input).focus()
        magetui = self.magetui
        self._choices = choices_of(
            magetui.first_selection, self._base, magetui.first_label, magetui.settings.targets, magetui.environment
        )
        elsewhere = self._version_tables_elsewhere
        self._choices[1:1] = schema_choices(magetui.selection, elsewhere.facts["schemas"] if elsewhere else ())
        selection = replace(magetui.selection, password=None)
        current = next((c.key for c in self._choices if replace(c.selection, password=None) == selection), None)
        if elsewhere is not None and elsewhere.severity == "critical":  # the schema in use has no version table
            current = self._choices[1].key
        self._fill(current)
        self._password_for = self._at
        if self._needs_password and current is not None:
            self._ask_password(f"{magetui.database_label or 'The server'} needs a password, or a different one.")

    def on_resize(self, _event: Resize) -> None:
        self._fill(self._at)

    @property
    def _needs_password(self) -> bool:
        """True if the current database refused the connection because of its password."""
        findings = self.magetui.diagnosis.findings if self.magetui.diagnosis is not None else ()
        refused = (finding for finding in findings if finding.code == "cannot-connect")
        return any(finding.facts.get("cause") == "password" for finding in refused)

    @property
    def _version_tables_elsewhere(self) -> Finding | None:
        """The finding that other schemas of the current database have version tables."""
        findings = self.magetui.diagnosis.findings if self.magetui.diagnosis is not None else ()
        return next((finding for finding in findings if finding.code == "version-table-elsewhere"), None)

    # -- the list

    @property
    def _typed(self) -> str:
        return self.query_one("#url", Input).value.strip()

    @property
    def _at(self) -> str | None:
        """The key of the choice at the cursor, or `TYPED` if the typed text is used as a URL."""
        option = self.query_one(Choices).highlighted_option
        return option.id if option is not None else TYPED if self._typed else None

    @property
    def _choice(self) -> Choice | None:
        at = self._at
        return next((choice for choice in self._choices if choice.key == at), None)

    def _fill(self, wanted: str | None = None) -> None:
        lines, typed = self.query_one(Choices), self._typed
        shown = [choice for choice in self._choices if typed.lower() in choice.search.lower()]
        if not self._choices:
            return
        if "://" in typed or not shown:
            hint = "enter connects to this URL" if "://" in typed else "no name matches; enter uses the text as a URL"
            lines.set_options([Option(Content.styled(hint, QUIET), disabled=True)])
            lines.highlighted = None
            self._describe_choice()
            return
        options: list[Option] = []
        heading = ""
        # The rows are built from every choice, so that the columns do not move while the list is filtered.
        rows = {row.key: row for row in choice_rows(self._choices, max(20, lines.size.width - SCROLLBAR), self._states)}
        for choice in shown:
            if choice.heading != heading:
                heading = choice.heading
                options.append(Option(Content.styled(heading, QUIET), disabled=True))
            options.append(Option(rows[choice.key].content, id=choice.key))
        lines.set_options(options)
        keys = [option.id for option in options]
        lines.highlighted = keys.index(wanted) if wanted is not None and wanted in keys else 1  # row 0 is a heading
        lines.scroll_to_highlight()

    @on(Input.Changed, "#url")
    def _edited(self) -> None:
        self._fill(self._likeliest(self._typed.lower()) or self._at)
        self._forget_password()

    def _likeliest(self, typed: str) -> str | None:
        """Return the choice whose name starts with the typed text, else a choice whose name contains it."""
        matches = [choice for choice in self._choices if typed and typed in choice.name.lower()]
        matches.sort(key=lambda choice: not choice.name.lower().startswith(typed))
        return matches[0].key if matches else None

    def action_move(self, rows: int) -> None:
        lines = self.query_one(Choices)
        for _ in range(abs(rows)):
            before = lines.highlighted
            lines.action_cursor_down() if rows > 0 else lines.action_cursor_up()
            if before is not None and lines.highlighted is not None and (lines.highlighted - before) * rows < 0:
                lines.highlighted = before  # do not wrap around
        self._forget_password()

    @on(OptionList.OptionHighlighted)
    def _describe_choice(self) -> None:
        """Show every fact about the choice at the cursor, since its row may be cut."""
        choice = self._choice
        self.query_one("#chosen", Static).update(choice.description if choice is not None else "")

    def _forget_password(self) -> None:
        """If the cursor is on another choice, remove the password, so that it is not sent to another database."""
        if self._at != self._password_for:
            self._password_for = self._at
            self.query_one("#password", Input).value = ""
            self._show(Content(""))  # the message was about the other database

    # -- the states

    def action_states(self) -> None:
        """Read the state of each choice. Its row shows it when it is known."""
        self._states = {choice.key: (READING, QUIET) for choice in self._choices}
        self._fill(self._at)
        self._read_states({choice.key: choice.selection for choice in self._choices})

    @work(thread=True, exclusive=True, group="states", exit_on_error=False)
    def _read_states(self, selections: Mapping[str, Selection]) -> None:
        load_engine()
        from magetui.engine.diagnosis.many import as_diagnosed

        worker = get_current_worker()
        workspaces = {key: self.magetui.open_workspace(selection) for key, selection in selections.items()}
        for one in as_diagnosed(workspaces, AT_ONCE):
            if worker.is_cancelled:  # the operator left, or asked again
                return
            self.call_later(self._show_state, one)

    def _show_state(self, one: NamedDiagnosis) -> None:
        from magetui.text.many import state_of

        severity = one.diagnosis.findings[0].severity if one.diagnosis is not None else "critical"
        self._states[one.name] = (state_of(one), SEVERITY_STYLES[severity])
        self._fill(self._at)

    # -- connecting

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def action_connect(self) -> None:
        """Try to connect. The screen stays open until the result is known."""
        self._request += 1
        self._forget_password()
        try:
            selection, label = self._chosen()
        except ConnectError as error:  # the typed text stays, so that the operator can correct it
            self._show(Content.styled(error.message, WARNING))
            return
        password = self.query_one("#password", Input).value
        if password:
            selection = replace(selection, password=password, password_command=None)
        self._show(Content(f"connecting to {label} …"))
        self._attempt(self._request, selection, label)

    def _chosen(self) -> tuple[Selection, str]:
        """Return the selection and its label. Raises `ConnectError` if the typed text is not a URL."""
        from magetui.engine.target.target import parse_target

        choice = self._choice
        if choice is not None:
            return choice.selection, choice.label or choice.name
        source = "the connect screen"
        label = formats.place(parse_target(self._typed, source).redacted)
        return replace(self._base, url=self._typed, url_source=source), label

    @property
    def _base(self) -> Selection:
        """The selection that provides what a target does not set."""
        return self.magetui.settings.base or self.magetui.settings.selection

    @work(thread=True, exclusive=True, group="connect", exit_on_error=False)
    def _attempt(self, request: int, selection: Selection, label: str) -> None:
        load_engine()
        from magetui.engine.workspace import NO_PASSWORD

        try:
            workspace = self.magetui.open_workspace(selection)
            label = formats.place(workspace.target.redacted)
            with workspace.reading() as connection:
                workspace.backend.server(connection)
        except MagetuiError as error:
            needed = isinstance(error, ConnectError) and error.cause == "password"
            missing = NO_PASSWORD in error.message
            problem = f"{label} needs a password, and none is known." if missing else error.message
            self.call_later(self._failed, request, problem, password=needed)
            return
        self.call_later(self._connected, request, selection, label)

    def _connected(self, request: int, selection: Selection, label: str) -> None:
        if request == self._request:
            self.magetui.connect_to(selection, label)
            self.dismiss(None)

    def _failed(self, request: int, problem: str, *, password: bool) -> None:
        """Show why the attempt failed. `password` is true if the password is wrong or missing."""
        if request != self._request:
            return
        if password:
            self._ask_password(problem)
        else:
            self._show(Content.assemble(*self._failure(), problem))

    def _ask_password(self, problem: str) -> None:
        self._password_for = self._at
        field = self.query_one("#password", Input)
        field.focus()
        field.action_select_all()  # the new password replaces the refused one
        self._show(Content.assemble(*self._failure(), problem, " Type it above and press enter."))

    def _failure(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return the heading of a failure, with the time, since a second attempt may fail with the same words."""
        at = f"at {datetime.now():%H:%M:%S}  " if self._request else ""
        return ("NOT CONNECTED  ", CRITICAL), (at, QUIET)

    def _show(self, content: Content) -> None:
        self.query_one("#problem", Static).update(content)
