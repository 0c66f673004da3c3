"""Writes the man page `docs/magetui.1` from the registry of verbs. The wheel installs it.

    uv run python -m docs.man

A test compares the page with the verbs, so that a new flag cannot be missing in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from magetui.verbs import COMMON, COMPLETION, PLAIN, VERBS, Parameter, Verb

PAGE = Path(__file__).resolve().parent / "magetui.1"
STATUSES = (
    ("0", "done, or healthy"),
    ("1", "failed"),
    ("2", "wrong usage"),
    ("3", "diagnose, verify, check or preflight found something to act on"),
    ("4", "refused, or not confirmed"),
    ("5", "a lock timeout, or a deadlock"),
    ("130", "cancelled"),
)
FILES = (
    ("~/.config/magetui/config.toml", "your settings and named targets"),
    ("magetui.toml", "in the project's folder: the limits of its runs, and its targets"),
    ("~/.local/state/magetui", "the records of the runs"),
)


def page() -> str:
    """Return the page in the macros of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield '.TH MAGETUI 1 "" "magetui" "User Commands"'
    yield ".SH NAME"
    yield r"magetui \- recover a database whose Alembic migrations went wrong"
    yield ".SH SYNOPSIS"
    yield ".B magetui"
    yield r"[\fIflags\fR] [\fIVERB\fR ...]"
    yield ".SH DESCRIPTION"
    yield "Without a verb, the full\\-screen program opens. It explains its keys with ?."
    yield "With a verb, magetui prints an answer, as text or with"
    yield ".B \\-\\-json"
    yield "as one JSON document. A verb that changes something shows its plan and asks for consent first."
    yield ".SH VERBS"
    for verb in VERBS:
        yield from _verb(verb)
    yield ".SH FLAGS OF EVERY VERB"
    for parameter in (*COMMON, PLAIN, COMPLETION):
        yield from _parameter(parameter)
    yield ".SH EXIT STATUS"
    yield from _table(STATUSES)
    yield ".SH ENVIRONMENT"
    yield "A setting of the configuration such as lock_retries is MAGETUI_LOCK_RETRIES in the environment."
    yield "Mage's own variables name its database, as the server has them."
    yield ".SH FILES"
    yield from _table(FILES)
    yield ".SH SEE ALSO"
    yield ".BR psql (1),"
    yield ".BR pg_dump (1)"


def _verb(verb: Verb) -> Iterator[str]:
    words = [
        f"\\fI{_text(p.name)}\\fR" if p.required else f"[\\fI{_text(p.name)}\\fR]"
        for p in verb.parameters
        if p.positional
    ]
    yield f".SS {' '.join((_text(verb.name), *words))}"
    yield _text(f"{verb.summary[0].upper()}{verb.summary[1:]} ({verb.danger}).")
    for parameter in verb.parameters:
        yield from _parameter(parameter)
    yield ".PP"
    yield ".nf"
    yield from (_text(example) for example in verb.examples)
    yield ".fi"


def _parameter(parameter: Parameter) -> Iterator[str]:
    value = f" \\fI{_text(parameter.metavar)}\\fR" if parameter.metavar and not parameter.positional else ""
    choices = f" One of: {', '.join(parameter.choices)}." if parameter.choices else ""
    yield ".TP"
    yield f"\\fB{_text(parameter.name)}\\fR{value}"
    yield _text(f"{parameter.help[0].upper()}{parameter.help[1:]}.{choices}")


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in rows:
        yield ".TP"
        yield f"\\fB{_text(name)}\\fR"
        yield _text(f"{meaning[0].upper()}{meaning[1:]}.")


def _text(text: str) -> str:
    """Return a text without what man(7) would obey: a backslash, a hyphen, a dot at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
