"""Settings of a session: what readers have, and SET statements that a later rollback does not undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READING: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT", "magetui_reads": True}


def set_if_known(raw: Any, setting: str, driver_error: type[Exception]) -> None:
    try:
        set_on(raw, setting)
    except driver_error:
        raw.rollback()  # this server cannot: no harm done


def set_on(raw: Any, settings: str) -> None:
    """Run SET statements on a DB-API connection so that a later rollback does not undo them."""
    cursor = raw.cursor()
    cursor.execute(settings)
    cursor.close()
    raw.commit()
