"""What every complaint owes its reader: a sentence, no traceback, no password, and nothing changed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.command import Magetui, Outcome
from tests.support.leaks import nowhere
from tests.support.postgres import PASSWORD

SECRET = "s3cret"  # the beginning of PASSWORD, and the whole of passwords that never reach a server
MIGRATE, STAMP = ("migrate", "--yes"), ("stamp", "head", "--yes")
ROLLBACK = ("rollback", "--revision", "-1", "--yes")


def told(outcome: Outcome) -> str:
    """Both streams on one line, once it is sure that they hold no traceback and no password."""
    text = " ".join((outcome.stdout + outcome.stderr).split())
    assert "Traceback" not in text, outcome
    nowhere([outcome], SECRET, PASSWORD)
    return text


def nothing_begun() -> None:
    """No run has left a journal."""
    assert not list(Path(os.environ["XDG_STATE_HOME"]).glob("magetui/runs/*"))


def cannot_connect(
    magetui: Magetui,
    ini: Path,
    url: str,
    cause: str,
    *sentences: str,
    others: tuple[tuple[str, ...], ...] = (("schema",), MIGRATE),
) -> None:
    """`diagnose` finds the cause, in both of its shapes; the other verbs fail with the same sentences."""
    common = ("--config", ini, "--url", url)
    found = magetui(*common, "diagnose", "--json")
    assert found.status == 3, found
    finding = found.json["findings"][0]
    assert (finding["code"], finding["severity"]) == ("cannot-connect", "critical")
    assert finding["facts"]["cause"] == cause
    shown = magetui(*common, "diagnose")
    assert shown.status == 3, shown
    failed = [magetui(*common, *verb) for verb in others]
    assert all(outcome.status == 1 and outcome.stdout == "" for outcome in failed), failed
    told(found)
    for text in (finding["message"], told(shown), *map(told, failed)):
        for sentence in sentences:
            assert sentence in text
    nothing_begun()
