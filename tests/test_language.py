"""Banned words: text and names use the words of the field, in plain modern English."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PLACES = ("magetui", "docs", "README.md")
# The scenario of the demo keeps its name, which commands and scripts use. Journals of format 1 keep theirs.
NAMES = re.compile(r"\bhalf-applied\b|\"marker\": \"current\"")
# Banned words, and what to write instead.
BANNED: Mapping[str, str] = {
    "anew": "again",
    "as it stands": "unchanged, or at present",
    "begins with": "starts with",
    "brings about": "causes",
    "brought about": "caused",
    "foresight": "lookahead",
    "goes on": "continues",
    "half applied": "partially applied",
    "half there": "partially applied",
    "halves": "partially applied",
    "in the way": "blocks, or blocker",
    "is not to be seen": "is not visible",
    "lineage": "schema history",
    "marker": "current revision",
    "of those": "name the noun",
    "spoken": "worded",
    "stands in the way": "blocks",
    "the other way round": "say both directions",
    "thereof": "of it, or name the noun",
    "to be had": "available",
    "told": "reported, or shown",
    "what is there": "name the noun",
    "whatever stands": "name the noun",
    "whereof": "of which",
    "whole": "complete, all or entire",
}
# A word may be a part of a name, such as `told_differences`; a phrase may continue on the next line.
PATTERN = re.compile(
    r"(?<![a-z])("
    + "|".join(r"[\s_#]+".join(map(re.escape, words.split())) for words in sorted(BANNED, key=len, reverse=True))
    + r")(?![a-z])",
    re.IGNORECASE,
)


def banned_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the banned word, for each banned word in the text."""
    searched = NAMES.sub(lambda match: " " * len(match[0]), text)
    for match in PATTERN.finditer(searched):
        yield searched.count("\n", 0, match.start()) + 1, " ".join(re.split(r"[\s_#]+", match[0].lower()))


def tracked_files() -> list[Path]:
    """Return the tracked text files. A file that is not UTF-8 is not text."""
    command = ["git", "ls-files", "-z", "--", *PLACES]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60).stdout
    return [CHECKOUT / name for name in listed.split("\0") if name]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is told\nanew.", [(1, "told"), (2, "anew")]),
        ("self._told = told_differences", [(1, "told"), (1, "told")]),
        ("# who is in the\n# way", [(1, "in the way")]),
        ("Something wholesome, retold, and half-applied.", []),
        ("It goes\n    on.", [(1, "goes on")]),
    ],
)
def test_a_banned_word_is_found_with_its_line(text: str, found: list[tuple[int, str]]) -> None:
    assert list(banned_words(text)) == found


def test_no_text_or_name_uses_a_banned_word() -> None:
    files = tracked_files()
    assert len(files) > 100
    complaints = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        complaints += [
            f"{path.relative_to(CHECKOUT)}:{line}: '{word}'; write: {BANNED[word]}" for line, word in banned_words(text)
        ]
    assert not complaints, f"{len(complaints)} banned words\n" + "\n".join(complaints)
