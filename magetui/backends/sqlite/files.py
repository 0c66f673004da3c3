"""The file of a SQLite database, from its URL or from an open connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy.engine import URL

DATABASE_LIST_SQL = "pragma database_list"


def database_path(url: URL) -> Path | None:
    """Return the file of a SQLite URL; None for a database in memory. A `file:` URI counts by its path."""
    database = url.database
    if not database or database == ":memory:" or url.query.get("mode") == "memory":
        return None
    if not database.startswith("file:"):
        return Path(database)
    path = unquote(re.split("[?#]", database.removeprefix("file:"))[0])
    return None if path == ":memory:" else Path(path)


def main_file(rows: Iterable[Any]) -> str:
    """Return the main database's file from the rows of `DATABASE_LIST_SQL`; "" for a database in memory."""
    return next((file or "" for _, name, file in rows if name == "main"), "")
