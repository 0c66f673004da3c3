"""The state of a database in two or three words, as the screen's first line and the list of targets say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.diagnosis.finding import Finding

# If migrations are pending, these findings get the headline of a database that is behind.
BEHIND = ("behind", "migration-running", "leftover-type")


def headline(diagnosis: Diagnosis, worst: Finding) -> str:
    """Return the state in capitals: 'BEHIND BY 2'."""
    if worst.code in BEHIND and diagnosis.pending:
        return f"BEHIND BY {len(diagnosis.pending)}"
    if worst.severity == "ok":
        return "UP TO DATE"
    return worst.code.replace("-", " ").upper()
