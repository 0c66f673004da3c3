"""What the command line prints: answers to stdout, as text or one JSON document; everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magetui.config.settings import Settings


def answer(
    settings: Settings, document: Callable[[], Mapping[str, Any]], lines: Callable[[Any], Iterable[str]]
) -> None:
    if settings.json:
        print_lines([json.dumps(document(), ensure_ascii=False, indent=1, default=str)])
    else:
        from magetui.text.terminal import Text

        print_lines(lines(Text(colour=settings.colour)))


def print_lines(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
