"""Input fields: a one-line field, fields that hide a URL's password or a password, and the values of limits."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

from rich.text import Text
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from magetui.verbs import count, seconds

DOT = "•"
LOCAL = re.compile(r"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\])$")
IN_BRACKETS = re.compile(r"(?:[^:@\[]*@)?\[[0-9A-Fa-f:.]*\]?")  # an IPv6 address, which contains colons
PORT = re.compile(r":\d{0,5}(?:$|[/?])")


def lock_timeout_ms(text: str) -> int:
    """Return the milliseconds of a lock timeout in seconds. Raises `ArgumentTypeError` with a sentence."""
    try:
        return round(seconds(text) * 1000)
    except ArgumentTypeError:
        sentence = f"The lock timeout is a number of seconds, 0 for no limit, not '{text}'."
        raise ArgumentTypeError(sentence) from None


def retries_of(text: str) -> int:
    """Return the number of retries after a lock timeout. Raises `ArgumentTypeError` with a sentence."""
    try:
        return count(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"The number of retries is a count such as 0 or 5, not '{text}'.") from None


class Field(Input):
    """A field on one line. Its cursor does not blink, since each blink would cost bytes over SSH."""

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:
        super().__init__(value, placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False


class OptionField(Field):
    """A field of a plan. Enter plans again with its value; escape posts `Left` if there is a plan to return to."""

    BINDINGS = [
        Binding("enter", "submit", "Plan again"),
        Binding("escape", "leave", "Leave the field"),
    ]
    can_leave = False

    class Left(Message):
        """The operator is done with the field."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.can_leave if action == "leave" else super().check_action(action, parameters)

    def action_leave(self) -> None:
        self.post_message(self.Left())


class FindField(Field):
    """The search field of a list. It also gets what was typed before it appeared."""

    takes_typed_ahead = True


class SecretField(Field):
    """A field that hides its text. The screen and the clipboard get only what `shown` returns."""

    BINDINGS = [Binding("enter", "submit", "Connect")]

    def __init__(self, placeholder: str, id: str) -> None:
        super().__init__(placeholder=placeholder, id=id)

    def shown(self, text: str) -> str:
        """Return a text of the same length that may be shown."""
        return DOT * len(text)

    @property
    def _value(self) -> Text:
        return Text(self.shown(self.value), no_wrap=True, overflow="ignore", end="")

    @property
    def selected_text(self) -> str:
        return self.shown(self.value)[slice(*sorted(self.selection))]


class UrlField(SecretField):
    """A field for a URL or a part of a name. It hides only the URL's password."""

    def shown(self, text: str) -> str:
        return masked(text)


def masked(text: str) -> str:
    """Return a URL as far as it is typed, with a dot for each character that may belong to a password.

    A password may contain an `@`, so nobody knows yet where it ends: everything after its colon is hidden. A URL
    without a password is shown completely. After a host's colon only a port follows, so a port is shown.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    brackets = IN_BRACKETS.match(rest)
    colon = rest.find(":", brackets.end() if brackets else 0)
    before = rest[:colon]
    if colon >= 0 and not (separator and _is_harmless(before, rest[colon:])):
        shown = f"{scheme}{separator}{before}:"
        return shown + DOT * (len(text) - len(shown))
    from magetui.protocol.redaction import KEYWORD

    return KEYWORD.sub(lambda match: match["key"] + DOT * len(match["value"]), text)


def _is_harmless(before: str, from_colon: str) -> bool:
    """Return whether the first colon after `://` starts no password, judging by the text around it."""
    if "/" in before or "?" in before:
        return True
    return bool(PORT.match(from_colon)) and ("@" in before or LOCAL.match(before) is not None)
