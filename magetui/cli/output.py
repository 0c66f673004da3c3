"""What the command line prints and asks: answers go to stdout, as text or one JSON document, all else to stderr."""

from __future__ import annotations

import io
import sys
import termios
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from magetui.engine.errors import RefusedError
from magetui.text.formats import for_terminal

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.text.consent import Consent


def answer(
    settings: Settings, document: Callable[[], Mapping[str, Any]], lines: Callable[[Any], Iterable[str]]
) -> None:
    """Print the answer of a verb: the document with `--json`, otherwise the lines that `lines` makes with a `Text`."""
    if settings.json:
        from magetui.text.documents import as_json

        print_lines([as_json(document())])
    else:
        from magetui.text.terminal import Text

        print_lines(lines(Text(colour=settings.colour)), colour=settings.colour)


def prepare_streams() -> None:
    """Let stdout and stderr print an escape for a character that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_lines(lines: Iterable[str], *, colour: bool = False, exact: bool = False) -> None:
    """Print the lines without what a terminal would obey. `exact`: unchanged, for a file or another program."""
    sys.stdout.writelines(f"{line if exact else for_terminal(line, colour=colour)}\n" for line in lines)
    sys.stdout.flush()


def complain(line: str) -> None:
    sys.stderr.write(f"{for_terminal(line, colour=False)}\n")
    sys.stderr.flush()


def complain_wrapped(sentence: str) -> None:
    from magetui.text.terminal import wrapped

    for line in wrapped(sentence, 78):
        complain(line)


def require_consent(values: Mapping[str, Any], consent: Consent) -> None:
    """Ask for the consent on the terminal, unless `--yes` gave it. Raises `RefusedError` for every other answer."""
    if values.get("yes"):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("There is no terminal to ask for consent. Nothing was changed. To consent, add --yes.")
    prompt = f"{consent.prompt} [y/N] " if consent.name is None else f"{consent.prompt}\n> "
    if not consent.is_given(read_answer(prompt)):
        raise RefusedError("Not confirmed. Nothing was changed.")


def read_answer(prompt: str) -> str:
    """Ask on the terminal and return the line that was typed, or nothing if the input has ended."""
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before the question is no answer to it
    sys.stderr.write(for_terminal(prompt, colour=False))
    sys.stderr.flush()
    return sys.stdin.readline().strip()
