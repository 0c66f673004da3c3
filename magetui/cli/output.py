"""The output of the command line: answers go to stdout, as text or one JSON document; all else goes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magetui.config.settings import Settings


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
