"""The lines of a log, as they arrive from a pod, a container, a journal or a file.

Colours are removed, and what a collector puts before each line: names of pods and containers, and times. A long log is
read from its end, because the error is there.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 4_000_000
COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")
PREFIX = re.compile(
    r"""(?:
        \[pod/[^\]]+\]\s                                               # kubectl logs --prefix
      | [\w./-]+\s*\|\s                                                # docker compose logs
      | \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)\s  # kubectl logs --timestamps
      | [A-Z][a-z]{2}\s+\d{1,2}\s\d\d:\d\d:\d\d\s\S+\s[\w./@-]+(?:\[\d+\])?:\s  # a journal of systemd
    )+""",
    re.VERBOSE,
)


def lines_of(text: str) -> list[str]:
    """Return the lines of a log without colours and prefixes."""
    shown = text[-MOST_CHARACTERS:].replace("\r\n", "\n").replace("\r", "\n")
    return [PREFIX.sub("", line, count=1).rstrip() if PREFIX.match(line) else line.rstrip() for line in _plain(shown)]


def _plain(text: str) -> list[str]:
    return COLOUR.sub("", text).split("\n")
