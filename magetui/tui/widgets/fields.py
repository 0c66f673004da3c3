"""Fields for what must not be seen: a URL whose password is hidden as it is typed, and a password."""

from __future__ import annotations

import re

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Input

from magetui.protocol.redaction import KEYWORD

DOT = "•"
LOCAL = re.compile(r"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\])$")
IN_BRACKETS = re.compile(r"(?:[^:@\[]*@)?\[[0-9A-Fa-f:.]*\]?")  # an IPv6 address, with colons of its own
PORT = re.compile(r":\d{0,5}(?:$|[/?])")


def masked(text: str) -> str:
    """A URL as far as it is typed, with a dot for each character that may belong to a password.

    Nobody knows yet where a password ends that holds an `@` itself, so all that follows its colon is hidden; a URL
    without a password is seen whole. Of a host's colon it is known that only a port follows.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    brackets = IN_BRACKETS.match(rest)
    colon = rest.find(":", brackets.end() if brackets else 0)
    before = rest[:colon]
    if colon >= 0 and not (separator and _harmless(before, rest[colon:])):
        shown = f"{scheme}{separator}{before}:"
        return shown + DOT * (len(text) - len(shown))
    return KEYWORD.sub(lambda match: match["key"] + DOT * len(match["value"]), text)


def _harmless(before: str, colon: str) -> bool:
    """Whether the first colon of what follows `://` begins no password, by what stands before it."""
    if "/" in before or "?" in before:
        return True
    return bool(PORT.match(colon)) and ("@" in before or LOCAL.match(before) is not None)


class SecretField(Input):
    """A field that shows, and gives to the clipboard, no more than `shown` makes of what is typed."""

    BINDINGS = [Binding("enter", "submit", "Connect")]

    def __init__(self, placeholder: str, id: str) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False

    def shown(self, text: str) -> str:
        """What stands in place of the text, of the same length."""
        return DOT * len(text)

    @property
    def _value(self) -> Text:
        return Text(self.shown(self.value), no_wrap=True, overflow="ignore", end="")

    @property
    def selected_text(self) -> str:
        return self.shown(self.value)[slice(*sorted(self.selection))]


class UrlField(SecretField):
    """A URL, or a part of a name."""

    def shown(self, text: str) -> str:
        return masked(text)
