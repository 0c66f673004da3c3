"""The house itself: files that fit in one head, links that lead somewhere, no word of documents that are not here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
MOST_LINES = 400
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
NOT_HERE = re.compile(r"\b(PRODUCT|INCIDENTS|FAULTS|SCREENS|EXAMPLES|STYLE|ARCHITECTURE)(\.md)?\b")


def tracked(*patterns: str) -> list[Path]:
    """The files that git tracks, or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [CHECKOUT / line for line in listed.stdout.splitlines() if (CHECKOUT / line).is_file()]


def test_no_file_is_longer_than_one_can_hold_in_mind() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in tracked("*.py")}
    assert lengths
    assert {str(path.relative_to(CHECKOUT)): lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


@pytest.mark.parametrize("path", tracked("*.md"), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_link_in_a_document_leads_to_a_file(path: Path) -> None:
    missing = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()]
    assert missing == []


def test_nothing_refers_to_a_document_that_is_not_in_the_repository() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)}: {line.strip()}"
        for path in tracked("*.py", "*.md", "*.toml", "*.sql", "*.yaml")
        if path != Path(__file__).resolve()
        for line in path.read_text(encoding="utf-8").splitlines()
        if NOT_HERE.search(line)
    ]
    assert found == []
