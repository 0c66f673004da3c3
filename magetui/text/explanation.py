"""The explanation of a log in words and as a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magetui.text import formats
from magetui.text.terminal import WRAP, wrapped

if TYPE_CHECKING:
    from magetui.engine.explain.explanation import Explanation
    from magetui.engine.explain.reading import LogError

SQL_CHARACTERS = 400


UNKNOWN = "magetui knows no error in this log. It looks for those of Alembic, SQLAlchemy, PostgreSQL, SQLite and ODBC."


def sentences(explanation: Explanation) -> Iterator[str]:
    """Yield what failed, where, what it means, and what the live database says of it."""
    error = explanation.error
    yield formats.plain(where(error))
    yield f"  {formats.one_line(error.message)}"
    if error.statement is not None:
        yield f"  in: {formats.one_line(error.statement, SQL_CHARACTERS)}"
    if error.file is not None:
        yield f"  at: {formats.plain(error.file)}, line {error.line}"
    yield from map(formats.plain, explanation.sentences)
    yield from (f"Here and now: {formats.plain(sentence)}" for sentence in explanation.live)


def lines(explanation: Explanation) -> Iterator[str]:
    for sentence in sentences(explanation):
        if sentence.startswith("  "):
            yield sentence
        else:
            yield from wrapped(sentence, WRAP, 2 if sentence.startswith("Here and now") else 0)
    yield f"Next: magetui {explanation.next}"


def where(error: LogError) -> str:
    """Return what was going on: 'The upgrade to b002 failed, 3 times in this log:'."""
    times = f", {error.times} times in this log" if error.times > 1 else ""
    if error.revision is None:
        return f"The log has an error{times}:"
    match error.direction:
        case "upgrade":
            return f"The upgrade to {error.revision} failed{times}:"
        case "downgrade":
            return f"The downgrade of {error.revision} failed{times}:"
        case _:
            return f"The log has an error about {error.revision}{times}:"


def document(explanation: Explanation) -> dict[str, Any]:
    error = explanation.error
    return {
        "trouble": error.trouble,
        "message": error.message,
        "class": error.name or None,
        "revision": error.revision,
        "direction": error.direction,
        "statement": error.statement,
        "file": error.file,
        "line": error.line,
        "times": error.times,
        "explanation": explanation.sentences,
        "live": explanation.live,
        "next": explanation.next,
    }
