"""The meaning of SQLite's errors, which the driver reports in words."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from magetui.model.server import Failure


def failure(error: BaseException) -> Failure:
    """See `Connections.failure`."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    message = str(original).strip()
    if isinstance(original, PermissionError):
        return Failure("not-readable", message)
    if "locked" in message and isinstance(original, sqlite3.OperationalError):
        return Failure("lock-timeout", message)
    if "interrupted" in message:
        return Failure("cancelled", message)
    if "file is not a database" in message or "malformed" in message:
        return Failure("not-a-database", message)
    if "unable to open database file" in message:
        return Failure("not-readable", message)
    return Failure("failed" if isinstance(original, sqlite3.Error) else "other", message)
