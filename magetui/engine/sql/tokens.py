"""The tokens of a statement, read from left to right. Comments are skipped, and strings are not looked into.

DDL is read from tokens, not with sqlglot. Of the 153 statements on tables that the tests run on servers, sqlglot 30
gives 36 as opaque commands, reads `RENAME a TO b` of a column as the rename of the table, and leaves out NOT VALID,
CASCADE and storage parameters. It spells types in its own way, and takes about 0.3 s to import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from magetui.model.identifiers import stored

TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?\*/)
    |(?P<string>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|(?P<tag>\$\w*\$).*?(?P=tag))
    |(?P<quoted>"(?:[^"]|"")+"|`[^`]+`)
    |(?P<word>[^\W\d][\w$]*)
    |(?P<sign>::|.)""",
    re.DOTALL | re.VERBOSE,
)
BRACKETED = re.compile(rf"(?P<bracketed>\[[^\]\[]+\])|{TOKEN.pattern}", TOKEN.flags)
# In the bodies of these a semicolon does not end the statement.
WITH_BODY = frozenset({"TRIGGER", "FUNCTION", "PROCEDURE"})


class UnfinishedError(Exception):
    """The statement ends where a name must follow."""


@dataclass(frozen=True, slots=True)
class Token:
    """`key`: the word in capitals, or a sign; empty for strings and quoted names. `name`: as the server folds it."""

    key: str
    name: str
    start: int
    end: int


class Tokens:
    """The tokens of a text, or of a part of it."""

    def __init__(self, text: str, words: list[Token]) -> None:
        self._text = text
        self._words = words
        self._at = 0

    @classmethod
    def of(cls, text: str, dialect: str) -> Tokens:
        """Return the tokens of the text. PostgreSQL folds unquoted names to lower case (manual, 4.1.1)."""
        pattern = BRACKETED if dialect in ("sqlite", "mssql") else TOKEN
        words: list[Token] = []
        for match in pattern.finditer(text):
            if match["skip"] is not None:
                continue
            word, (start, end) = match[0], match.span()
            folded = word.lower() if dialect == "postgresql" else word
            if match["word"] is not None:
                words.append(Token(word.upper(), stored(folded) if dialect == "postgresql" else word, start, end))
            elif match["sign"] is not None:
                words.append(Token(word, word, start, end))
            elif match["string"] is not None:
                words.append(Token("", word, start, end))
            else:
                quoted = word[1:-1].replace('""', '"')
                words.append(Token("", stored(quoted) if dialect == "postgresql" else quoted, start, end))
        return cls(text, words)

    @property
    def key(self) -> str:
        return self._words[self._at].key if self._at < len(self._words) else ""

    @property
    def rest(self) -> str:
        """Return the text that has not been read yet."""
        return self._text[self._words[self._at].start : self._words[-1].end] if self else ""

    def __bool__(self) -> bool:
        return self._at < len(self._words)

    def take(self, *keys: str) -> bool:
        """Step over these words if they come next."""
        if tuple(word.key for word in self._words[self._at : self._at + len(keys)]) != keys:
            return False
        self._at += len(keys)
        return True

    def take_any(self, *keys: str) -> bool:
        """Step over all of these words that come next, and return True if there was any."""
        before = self._at
        while self and self.key in keys:
            self._at += 1
        return self._at > before

    def has(self, *keys: str) -> bool:
        """Return True if these words follow each other in the rest."""
        ahead = [word.key for word in self._words[self._at :]]
        return any(tuple(ahead[i : i + len(keys)]) == keys for i in range(len(ahead)))

    def skip_to(self, *keys: str) -> bool:
        """Step over the next of these words outside of parentheses."""
        while self:
            if self.key in keys:
                self._at += 1
                return True
            self.step()
        return False

    def step(self) -> None:
        """Step over one word, or over one complete parenthesis."""
        depth = 0
        while self:
            depth += {"(": 1, ")": -1}.get(self.key, 0)
            self._at += 1
            if depth <= 0:
                return

    def identifier(self) -> str:
        """Read one name. Raises `UnfinishedError` at the end of the text."""
        if not self:
            raise UnfinishedError
        self._at += 1
        return self._words[self._at - 1].name

    def path(self) -> list[str]:
        """Read identifiers with dots between them."""
        parts = [self.identifier()]
        while self.take("."):
            parts.append(self.identifier())
        return parts

    def table(self) -> tuple[str, str | None]:
        """Read the name of a table, and its schema if it is given."""
        self.take("ONLY")
        parts = self.path()
        self.take("*")
        return parts[-1], parts[-2] if len(parts) > 1 else None

    def tables(self) -> list[tuple[str, str | None]]:
        """Read tables with commas between them. Parentheses behind a name are skipped."""
        tables = [self.table()]
        while True:
            while self.key == "(":
                self.step()
            if not self.take(","):
                return tables
            tables.append(self.table())

    def columns(self) -> tuple[str, ...]:
        """Read the names in the parenthesis that comes next; none if there is no parenthesis."""
        return tuple(part.identifier() for part in self.inside().parts()) if self.key == "(" else ()

    def inside(self) -> Tokens:
        """Return the tokens of the parenthesis that comes next, and step over it."""
        start = self._at + 1
        self.step()
        return Tokens(self._text, self._words[start : self._at - 1])

    def ahead(self) -> Tokens:
        """Return the tokens that have not been read yet, to be read twice."""
        return Tokens(self._text, self._words[self._at :])

    def until(self, keys: frozenset[str]) -> str:
        """Return the text up to the next of these words. The first word belongs to it whatever it is."""
        start = self._at
        self.step()
        while self and self.key not in keys:
            self.step()
        words = self._words[start : self._at]
        return self._text[words[0].start : words[-1].end] if words else ""

    def parts(self) -> Iterator[Tokens]:
        """Divide the rest at commas outside of parentheses."""
        while self:
            start = self._at
            while self and self.key != ",":
                self.step()
            yield Tokens(self._text, self._words[start : self._at])
            self._at += 1

    def statements(self) -> Iterator[Tokens]:
        """Divide the rest at semicolons outside of parentheses and of bodies between BEGIN and END."""
        while self:
            start, depth = self._at, 0
            has_body = self.key == "CREATE" and bool(WITH_BODY & {word.key for word in self._words[start : start + 6]})
            while self and (self.key != ";" or depth > 0):
                if has_body:
                    depth += {"BEGIN": 1, "CASE": 1, "END": -1}.get(self.key, 0)
                self.step()
            if self._at > start:
                yield Tokens(self._text, self._words[start : self._at])
            self._at += 1
