"""Checks for every error message: a sentence, no traceback, no password, and no change."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.command import Magetui, Outcome
from tests.support.leaks import nowhere
from tests.support.postgres import PASSWORD

SECRET = "s3cret"  # the start of PASSWORD, and the complete password in tests without a server
MIGRATE, STAMP = ("migrate", "--yes"), ("stamp", "head", "--yes")
ROLLBACK = ("rollback", "--revision", "-1", "--yes")


def output(outcome: Outcome) -> str:
    """Return both streams on one line. AssertionError if they contain a traceback or a password."""
    text = " ".join((outcome.stdout + outcome.stderr).split())
    assert "Traceback" not in text, outcome
    nowhere([outcome], SECRET, PASSWORD)
    return text


def nothing_begun() -> None:
    """Check that no run has started: there is no journal."""
    assert not list(Path(os.environ["XDG_STATE_HOME"]).glob("magetui/runs/*"))


def cannot_connect(
    magetui: Magetui,
    ini: Path,
    url: str,
    cause: str,
    *sentences: str,
    others: tuple[tuple[str, ...], ...] = (("schema",), MIGRATE),
) -> None:
    """Check that `diagnose` reports the cause as text and JSON, and that other verbs fail with the same sentences."""
    common = ("--config", ini, "--url", url)
    diagnosed = magetui(*common, "diagnose", "--json")
    assert diagnosed.status == 3, diagnosed
    finding = diagnosed.json["findings"][0]
    assert (finding["code"], finding["severity"]) == ("cannot-connect", "critical")
    assert finding["facts"]["cause"] == cause
    shown = magetui(*common, "diagnose")
    assert shown.status == 3, shown
    failed = [magetui(*common, *verb) for verb in others]
    assert all(outcome.status == 1 and outcome.stdout == "" for outcome in failed), failed
    output(diagnosed)
    for text in (finding["message"], output(shown), *map(output, failed)):
        for sentence in sentences:
            assert sentence in text
    nothing_begun()
