"""The question before an act that hurts, and the only two ways to answer it with yes: the button, or a typed name.

No letter is an answer, so that no key that was meant for something else does harm. The form takes the focus when it
asks. The button works only after it was on the screen for a moment: enter that was pressed before is no answer to it,
however late it is handled.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Click, Event, Key
from textual.message import Message
from textual.widgets import Button, Input, Static

from magetui.tui.shell import UNSEEN_SECONDS
from magetui.tui.theme import WARNING
from magetui.tui.widgets.fields import Field

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.text.consent import Consent

TOO_EARLY = "That was too early to be an answer: press enter again."
MOVES = frozenset("jkgG ")  # the keys that scroll
YES, ELSEWHERE, TO_FIELD = "enter: yes   esc: no", "tab leads to the button   esc: no", "tab leads to the field"


class NameField(Field):
    """The field for the name. Letters are text in it; tab leaves it."""

    BINDINGS = [
        Binding("enter", "submit", "Do it", tooltip="do it, if the name is right"),
        Binding("tab", "leave", "Keys", tooltip="leave the field, so that letters are keys; tab again returns"),
    ]

    def action_leave(self) -> None:
        self.screen.focus_previous()  # to the text above the question


class ActButton(Button):
    """The button that does it. Before it `works`, the footer does not have its key, and it ignores every press.

    On a busy machine a key may be handled long after it was pressed. So a press before the moment `works_from`
    (time.monotonic()) is ignored even if the button works by now.
    """

    BINDINGS = [Binding("enter", "press", "Do it")]

    class TooEarly(Message):
        """The button was pressed before anybody could have read the question."""

    def __init__(self, label: str) -> None:
        super().__init__(label, compact=True)
        self.works = False
        self.works_from = math.inf

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.works if action == "press" else super().check_action(action, parameters)

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key) and event.is_printable and event.character not in MOVES:
            self.works_from = max(
                self.works_from, event.time + UNSEEN_SECONDS
            )  # a text meant for a field ends in enter
        is_press = isinstance(event, Click) or (isinstance(event, Key) and event.key == "enter")
        if not (is_press and event.time < self.works_from):
            await super().on_event(event)
        elif self.display:
            self.post_message(self.TooEarly())


class ConsentForm(Vertical):
    """A sentence, or the question with its button or its field. Posts `Given` when the operator consents."""

    class Given(Message):
        """The operator consented."""

        def __init__(self, form: ConsentForm) -> None:
            super().__init__()
            self._form = form

        @property
        def control(self) -> ConsentForm:
            return self._form

    def __init__(self, act: str, *, id: str) -> None:
        super().__init__(id=id)
        self._act = act
        self._consent: Consent | None = None  # what is asked for
        self._sentence = Content("")  # the sentence, if nothing is asked
        self._complaint = ""  # about the last answer
        self._views = 0  # how often the question came into view

    def compose(self) -> ComposeResult:
        yield Static(classes="question", markup=False)
        yield NameField()
        yield ActButton(self._act)

    def on_mount(self) -> None:
        self.query_one(NameField).display = self.query_one(ActButton).display = False
        self.watch(self.screen, "focused", self._draw, init=False)

    @property
    def is_asking(self) -> bool:
        return self._consent is not None

    def ask(self, consent: Consent, note: str = "") -> None:
        """Ask for a consent. `note` is a sentence before the question."""
        self._consent, self._complaint, self._sentence = consent, note, Content("")
        field, button = self.query_one(NameField), self.query_one(ActButton)
        field.value = ""
        field.display, button.display = consent.name is not None, consent.name is None
        self.come_into_view()

    def say(self, sentence: str, style: str = "") -> None:
        """Show a sentence, or nothing, and ask for no consent."""
        self._consent, self._sentence = None, Content.styled(sentence, style) if style else Content(sentence)
        field, button = self.query_one(NameField), self.query_one(ActButton)
        if self.screen.focused in (field, button):
            self.screen.set_focus(self.screen.query(VerticalScroll).first())  # the text above: no field takes the keys
        field.display = button.display = button.works = False
        self._draw()

    def come_into_view(self) -> None:
        """Take the focus, unless the operator types into another field, and ignore enter for a moment."""
        button = self.query_one(ActButton)
        button.works = False
        if self._consent is not None:
            if not isinstance(self.screen.focused, Input):
                self.screen.set_focus(self.query_one(NameField) if button.display is False else button)
            self._views += 1
            button.works_from = time.monotonic() + UNSEEN_SECONDS
            self.set_timer(UNSEEN_SECONDS, partial(self._seen, self._views))
        self._draw()

    def _seen(self, view: int) -> None:
        if self._consent is not None and view == self._views:
            self.query_one(ActButton).works = True
            self.refresh_bindings()

    def _draw(self) -> None:
        question, consent, focused = self.query_one(Static), self._consent, self.screen.focused
        question.display = consent is not None or bool(self._sentence)
        if consent is None:
            question.update(self._sentence)
        elif consent.name is None:
            answer = YES if focused is self.query_one(ActButton) else ELSEWHERE
            question.update(Content.assemble(self._noted(), f"{consent.prompt}   {answer}"))
        else:
            hint = "" if focused is self.query_one(NameField) else f" ({TO_FIELD})"
            question.update(Content.assemble(self._noted(), (consent.prompt, WARNING), hint))

    def _noted(self) -> tuple[str, str]:
        return (f"{self._complaint}\n" if self._complaint else "", WARNING)

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if self._consent is None:
            return
        if self._consent.is_given(event.value):
            self.post_message(self.Given(self))
        else:
            self._complaint = self._consent.refusal(event.value) if event.value else ""
            self._draw()

    @on(ActButton.TooEarly)
    def _too_early(self, event: ActButton.TooEarly) -> None:
        event.stop()
        if self._consent is not None:
            self._complaint = TOO_EARLY
            self._draw()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if self._consent is not None and self.query_one(ActButton).works:
            self.post_message(self.Given(self))
