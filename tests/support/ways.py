"""The way an operator goes through each connection: look, migrate, roll back, stamp."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.leaks import nowhere


def walk(
    magetui: Magetui,
    common: tuple[object, ...],
    url: str,
    database: PostgresDatabase,
    state_dir: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """All of it, on an empty database and a project of three revisions; nothing that is told holds the password."""
    for verb, status, current in (
        (("diagnose",), 3, None),
        (("migrate", "--yes"), 0, "rev3"),
        (("rollback", "--revision", "-1", "--yes"), 0, "rev2"),
        (("stamp", "rev3", "--yes"), 0, "rev3"),
    ):
        done = magetui(*common, "--url", url, *verb, env=environment)
        assert done.status == status, done
        assert current is None or database.current == [current]
        nowhere([done, state_dir])
