"""The steps of an operator that must work over every connection: diagnose, migrate, roll back, stamp."""

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
    """Run the four verbs on an empty database and a project of three revisions. No output contains the password."""
    for verb, status, current in (
        (("diagnose",), 3, None),
        (("migrate", "--yes"), 0, "rev3"),
        (("rollback", "--revision", "-1", "--yes"), 0, "rev2"),
        (("stamp", "rev3", "--yes"), 0, "rev3"),
    ):
        outcome = magetui(*common, "--url", url, *verb, env=environment)
        assert outcome.status == status, outcome
        assert current is None or database.current == [current]
        nowhere([outcome, state_dir])
