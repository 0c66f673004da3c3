"""Settings of a session: the options of readers, and SET statements that a later rollback does not undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# `magetui_reads` marks a connection that is not the migration's own, so that the migration's events ignore it.
READING: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT", "magetui_reads": True}


def set_if_known(raw: Any, setting: str, driver_error: type[Exception]) -> None:
    """Run a SET statement on a DB-API connection; ignore an error, for servers that do not know the setting."""
    try:
        set_on(raw, setting)
    except driver_error:
        raw.rollback()


def set_on(raw: Any, settings: str) -> None:
    """Run SET statements on a DB-API connection and commit them, so that a later rollback does not undo them."""
    cursor = raw.cursor()
    cursor.execute(settings)
    cursor.close()
    raw.commit()
