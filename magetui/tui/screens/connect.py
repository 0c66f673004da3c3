"""The connect screen: another database, by its name, from the recent ones, or by its URL.

What is looked at stays until the new one has been connected to; a failed attempt says its cause here, and keeps what
was typed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.style import Style
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from magetui.tui.loading import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, QUIET, STRONG, WARNING
from magetui.tui.widgets.fields import SecretField, UrlField
from magetui.tui.widgets.rows import SCROLLBAR, Lines
from magetui.tui.widgets.target_choices import Choice, choice_rows, choices_of

if TYPE_CHECKING:
    from magetui.engine.target.selection import Selection

TYPED = "typed"
HEADINGS = {"at the start": "Without a name", "named": "Named in the configuration", "recent": "Recent"}


class Choices(Lines):
    """The list; the field above keeps the focus, so that the cursor is shown without it."""

    can_focus = False

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        style = super().get_visual_style(*component_classes, partial=partial)
        if "option-list--option-highlighted" in component_classes:
            return replace(style, reverse=True)
        return style


class ConnectScreen(OverScreen):
    """See the module."""

    NAME = "Connect"
    ABOUT = (
        "Connect to another database: type its URL, or a part of its name to find it in the list, move with up and "
        "down, and press enter. A password within a URL is hidden as it is typed; better leave it out, and type it "
        "into its own field when the server wants one. Passwords are not kept. What is looked at now stays until the "
        "other one has been connected to. Targets with a name are written into the configuration file, which "
        "'magetui config' tells."
    )
    BINDINGS = [
        Binding("enter", "connect", "Connect"),
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "move(-8)", "Up", show=False),
        Binding("pagedown", "move(8)", "Down", show=False),
        Binding("tab", "app.focus_next", "URL or password"),
        Binding("f1", "app.help", "Help"),  # a question mark is text here
    ]

    class Attempted(Message):
        """It was connected to, and is at `place`, or why not; `question` counts what was asked."""

        def __init__(
            self, question: int, selection: Selection, place: str, problem: str = "", *, password: bool = False
        ) -> None:
            self.question = question
            self.selection = selection
            self.place = place
            self.problem = problem
            self.password = password  # whether it is the password that is wrong or missing
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._question = 0  # of the latest attempt; answers to earlier ones are not listened to
        self._choices: list[Choice] = []
        self._aim: str | None = None  # what the password in its field was typed for

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(classes="fields"):
            yield Static("find or URL  ", markup=False, classes="label")
            yield UrlField("The database's URL, or a part of what is below", "url")
        with Horizontal(classes="fields"):
            yield Static("password     ", markup=False, classes="label")
            yield SecretField("where the URL has none and the server wants one", "password")
        yield Choices(markup=False, id="choices")
        yield Static(id="chosen", markup=False)
        yield Static(id="problem", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((" Connect", STRONG), ("   now ", QUIET), self.magetui.place)
        self.query_one("#url", Input).focus()
        load_engine()
        magetui = self.magetui
        self._choices = choices_of(
            magetui.first_selection, self._base, magetui.first_place, magetui.settings.targets, magetui.environment
        )
        now = replace(magetui.selection, password=None)
        current = next((c.key for c in self._choices if replace(c.selection, password=None) == now), None)
        self._fill(current)
        self._aim = self._at
        if self._wants_password and current is not None:
            self._ask_password(f"{magetui.place or 'The server'} wants a password, or another one.")

    def on_resize(self, _event: Resize) -> None:
        self._fill(self._at)

    @property
    def _wants_password(self) -> bool:
        """Whether what is looked at cannot be connected to for want of the right password."""
        findings = self.magetui.diagnosis.findings if self.magetui.diagnosis is not None else ()
        return any(one.facts.get("cause") == "password" for one in findings if one.code == "cannot-connect")

    # -- the list

    @property
    def _typed(self) -> str:
        return self.query_one("#url", Input).value.strip()

    @property
    def _at(self) -> str | None:
        """The key of the choice at the cursor; `TYPED` where the field is taken as a URL."""
        option = self.query_one(Choices).highlighted_option
        return option.id if option is not None else TYPED if self._typed else None

    def _fill(self, wanted: str | None = None) -> None:
        lines, typed = self.query_one(Choices), self._typed
        shown = [choice for choice in self._choices if typed.lower() in choice.search.lower()]
        if not self._choices:
            return
        if "://" in typed or not shown:
            said = "enter connects to this URL" if "://" in typed else "nothing is named so; enter takes it as a URL"
            lines.set_options([Option(Content.styled(said, QUIET), disabled=True)])
            lines.highlighted = None
            self._tell_chosen()
            return
        options: list[Option] = []
        heading = ""
        # Of all of them, so that the columns stay where they are while the list is filtered.
        rows = {row.key: row for row in choice_rows(self._choices, max(20, lines.size.width - SCROLLBAR))}
        for choice in shown:
            if choice.heading != heading:
                heading = choice.heading
                options.append(Option(Content.styled(HEADINGS[heading], QUIET), disabled=True))
            options.append(Option(rows[choice.key].content, id=choice.key))
        lines.set_options(options)
        keys = [option.id for option in options]
        lines.highlighted = keys.index(wanted) if wanted is not None and wanted in keys else 1  # the first is a heading
        lines.scroll_to_highlight()

    @on(Input.Changed, "#url")
    def _edited(self) -> None:
        self._fill(self._likeliest(self._typed.lower()) or self._at)
        self._aimed()

    def _likeliest(self, typed: str) -> str | None:
        """The choice that is meant by what is typed: one whose name begins with it, or has it in it."""
        found = [choice for choice in self._choices if typed and typed in choice.name.lower()]
        found.sort(key=lambda choice: not choice.name.lower().startswith(typed))
        return found[0].key if found else None

    def action_move(self, rows: int) -> None:
        lines = self.query_one(Choices)
        for _ in range(abs(rows)):
            before = lines.highlighted
            lines.action_cursor_down() if rows > 0 else lines.action_cursor_up()
            if before is not None and lines.highlighted is not None and (lines.highlighted - before) * rows < 0:
                lines.highlighted = before  # no further round
        self._aimed()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        self._tell_chosen()

    def _tell_chosen(self) -> None:
        """What the list has no room for, of the one at the cursor."""
        at = self._at
        choice = next((one for one in self._choices if one.key == at), None)
        self.query_one("#chosen", Static).update(choice.told if choice is not None else "")

    def _aimed(self) -> None:
        """A password that was typed for one database is not sent to another."""
        if self._at != self._aim:
            self._aim = self._at
            self.query_one("#password", Input).value = ""
            self._say(Content(""))  # what was said was of the other one

    # -- connecting

    @on(OptionList.OptionSelected)
    @on(Input.Submitted)
    def action_connect(self) -> None:
        """Try what is chosen; the screen stays until it is known how that went."""
        from magetui.engine.errors import ConnectError

        self._question += 1
        self._aimed()
        try:
            selection, place = self._chosen()
        except ConnectError as error:  # what was typed stays, to be mended
            self._say(Content.styled(error.message, WARNING))
            return
        password = self.query_one("#password", Input).value
        if password:
            selection = replace(selection, password=password, password_command=None)
        self._say(Content(f"connecting to {place} …"))
        self._attempt(self._question, selection, place)

    def _chosen(self) -> tuple[Selection, str]:
        """What is chosen, and how it is called. Raises `ConnectError` for a URL that is none."""
        from magetui.engine.target.target import parse_target
        from magetui.text import formats

        choice = next((one for one in self._choices if one.key == self._at), None)
        if choice is not None:
            return choice.selection, choice.place or choice.name
        source = "what was typed"
        place = formats.place(parse_target(self._typed, source).redacted)
        return replace(self._base, url=self._typed, url_source=source), place

    @property
    def _base(self) -> Selection:
        """What a target leaves unsaid."""
        return self.magetui.settings.base or self.magetui.settings.selection

    @work(thread=True, exclusive=True, group="connect", exit_on_error=False)
    def _attempt(self, question: int, selection: Selection, place: str) -> None:
        load_engine()
        from magetui.engine.errors import ConnectError, MagetuiError
        from magetui.engine.workspace import NO_PASSWORD
        from magetui.text import formats

        try:
            workspace = self.magetui.open_workspace(selection)
            place = formats.place(workspace.target.redacted)
            with workspace.reading() as connection:
                workspace.backend.server(connection)
        except MagetuiError as error:
            wants = isinstance(error, ConnectError) and error.cause == "password"
            missing = NO_PASSWORD in error.message
            problem = f"{place} wants a password, and there is none." if missing else error.message
            self.post_message(self.Attempted(question, selection, place, problem, password=wants))
            return
        self.post_message(self.Attempted(question, selection, place))

    def on_connect_screen_attempted(self, message: Attempted) -> None:
        if message.question != self._question:
            return
        if not message.problem:
            self.magetui.connect_to(message.selection, message.place)
            self.dismiss(None)
        elif message.password:
            self._ask_password(message.problem)
        else:
            self._say(Content.assemble(*self._failed(), message.problem))

    def _ask_password(self, problem: str) -> None:
        self._aim = self._at
        field = self.query_one("#password", Input)
        field.focus()
        field.action_select_all()  # what is typed takes the place of one that was not accepted
        self._say(Content.assemble(*self._failed(), problem, " Type it above and press enter."))

    def _failed(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """When it was tried, since a second attempt may fail with the very words of the first."""
        at = f"at {datetime.now():%H:%M:%S}  " if self._question else ""
        return ("NOT CONNECTED  ", CRITICAL), (at, QUIET)

    def _say(self, content: Content) -> None:
        self.query_one("#problem", Static).update(content)
