"""What the command line prints and asks: answers go to stdout, as text or one JSON document, all else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from magetui.config.settings import Settings
from magetui.engine.errors import RefusedError
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

        print_lines(lines(Text(colour=settings.colour)))


def print_lines(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def require_consent(values: Mapping[str, Any], consent: Consent) -> None:
    """Ask for the consent on the terminal, unless `--yes` gave it. Raises `RefusedError` for every other answer."""
    if values.get("yes"):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("There is no terminal to ask for consent. Nothing was changed. To consent, add --yes.")
    sys.stderr.write(f"{consent.prompt} [y/N] " if consent.name is None else f"{consent.prompt}\n> ")
    sys.stderr.flush()
    if not consent.is_given(sys.stdin.readline().strip()):
        raise RefusedError("Not confirmed. Nothing was changed.")
