"""The meaning of SQLite's errors, which the driver reports in words."""

from __future__ import annotations

import sqlite3

from magetui.backends.problems import original
from magetui.model.server import Failure


def failure(error: BaseException) -> Failure:
    own = original(error)
    message = str(own).strip()
    if isinstance(own, PermissionError) or "unable to open database file" in message:
        return Failure("not-readable", message)
    if "locked" in message and isinstance(own, sqlite3.OperationalError):
        return Failure("lock-timeout", message)
    if "interrupted" in message:
        return Failure("cancelled", message)
    if "file is not a database" in message or "malformed" in message:
        return Failure("not-a-database", message)
    return Failure("failed" if isinstance(own, sqlite3.Error) else "other", message)
