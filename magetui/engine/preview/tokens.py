"""A statement's words, read from left to right; comments are none, and strings are not looked into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from magetui.engine.preview.known_tables import Known, Name

TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|(?P<tag>\$\w*\$).*?(?P=tag))
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<word>[^\W\d][\w$]*)
    |(?P<sign>::|.)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """`key`: the word in capitals, or a sign; empty for strings and quoted names. `name`: as the server folds it."""

    key: str
    name: str
    start: int
    end: int


class Tokens:
    """The words of a statement, or of a part of it, read from left to right."""

    def __init__(self, text: str, words: list[Token]) -> None:
        self._text = text
        self._words = words
        self._at = 0

    @classmethod
    def of(cls, text: str) -> Tokens:
        found: list[Token] = []
        for match in TOKEN.finditer(text):
            kind, word = match.lastgroup, match[0]
            if match["skip"] is not None:
                continue
            if match["quoted"] is not None:
                found.append(Token("", word[1:-1].replace('""', '"'), match.start(), match.end()))
            else:
                key = "" if match["string"] is not None else word.upper()
                found.append(Token(key, word.lower() if kind == "word" else word, match.start(), match.end()))
        return cls(text, found)

    @property
    def key(self) -> str:
        return self._words[self._at].key if self._at < len(self._words) else ""

    @property
    def rest(self) -> str:
        """The text that is still to be read."""
        return self._text[self._words[self._at].start : self._words[-1].end] if self else ""

    def __bool__(self) -> bool:
        return self._at < len(self._words)

    def take(self, *keys: str) -> bool:
        """Step over these words, if they come next."""
        ahead = tuple(word.key for word in self._words[self._at : self._at + len(keys)])
        if ahead != keys:
            return False
        self._at += len(keys)
        return True

    def take_any(self, *keys: str) -> bool:
        """Step over whichever of these words come next; whether there was one."""
        before = self._at
        while self and self.key in keys:
            self._at += 1
        return self._at > before

    def has(self, *keys: str) -> bool:
        """Whether these words follow each other somewhere ahead."""
        ahead = [word.key for word in self._words[self._at :]]
        return any(tuple(ahead[i : i + len(keys)]) == keys for i in range(len(ahead)))

    def skip_to(self, *keys: str) -> bool:
        """Go behind the next of these words that stands outside of parentheses."""
        while self:
            if self.key in keys:
                self._at += 1
                return True
            self.step()
        return False

    def step(self) -> None:
        """One word on, or behind a whole parenthesis."""
        depth = 0
        while self:
            depth += {"(": 1, ")": -1}.get(self.key, 0)
            self._at += 1
            if depth <= 0:
                return

    def identifier(self) -> str:
        word = self._words[self._at].name if self else ""
        self._at += 1
        return word

    def path(self) -> list[str]:
        """Identifiers with dots in between."""
        parts = [self.identifier()]
        while self.take("."):
            parts.append(self.identifier())
        return parts

    def name(self, known: Known) -> Name:
        """A table, with its schema or without."""
        self.take("ONLY")
        parts = self.path()
        self.take("*")
        return known.name(parts[-2] if len(parts) > 1 else None, parts[-1])

    def names(self, known: Known) -> list[Name]:
        """Tables with commas in between; what stands behind them in parentheses is skipped."""
        found = [self.name(known)]
        while True:
            while self.key == "(":
                self.step()
            if not self.take(","):
                return found
            found.append(self.name(known))

    def inside(self) -> Tokens:
        """What stands in the parenthesis that comes next."""
        start = self._at + 1
        self.step()
        return Tokens(self._text, self._words[start : self._at - 1])

    def ahead(self) -> Tokens:
        """The same words that are still to be read, to be read twice."""
        return Tokens(self._text, self._words[self._at :])

    def until(self, keys: frozenset[str]) -> str:
        """The text up to the next of these words; the first word belongs to it whatever it is."""
        start = self._at
        self.step()
        while self and self.key not in keys:
            self.step()
        words = self._words[start : self._at]
        return self._text[words[0].start : words[-1].end] if words else ""

    def parts(self, sign: str = ",") -> Iterator[Tokens]:
        """The rest, divided at a sign that stands outside of parentheses."""
        while self:
            start = self._at
            while self and self.key != sign:
                self.step()
            yield Tokens(self._text, self._words[start : self._at])
            self._at += 1
