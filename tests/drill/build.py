"""Builds the twenty broken databases for a person, and says at the end which of them have recovered.

    uv run python -m tests.drill.build FOLDER

Each database gets a folder with a script `open`, which opens the full-screen program on it. The sessions of the cases
stay open until enter is pressed here. Then each database is checked.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.drill.cases import CASES, Case, Place
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.postgres import VERSIONS, PostgresServer

OPEN = """#!/bin/sh
cd {folder}
export XDG_STATE_HOME={folder}/state XDG_CONFIG_HOME={folder}/config
exec {python} -m magetui --config {ini} --url '{url}' "$@"
"""


def held(case: Case, place: Place) -> str:
    """Return the statement of the session that stays open."""
    if case.holds != "MUTEX":
        return case.holds or ""
    workspace = Workspace(Selection(config=str(place.project.ini), url=place.database.url))
    return f"SELECT pg_advisory_lock({workspace.project.mutex_key})"


def is_recovered(case: Case, place: Place) -> bool:
    """Return whether the database is at the revision of the case, and has what the case asks for."""
    schema = "?options=-csearch_path%3Dlibrary" if "another schema" in case.name else ""
    url = f"{place.database.url}{schema}"
    found = place.magetui("--config", place.project.ini, "--url", url, "diagnose", "--json")
    if found.status != 0 or sorted(found.json["current"]) != sorted(case.result):
        return False
    return case.recovered is None or bool(place.database.rows(case.recovered))


def build(folder: Path) -> None:
    """Build the databases, wait for enter, and print which have recovered."""
    server = PostgresServer(VERSIONS[-1])
    server.start()
    try:
        with ExitStack() as stack:
            places = [_built(number, case, folder, server, stack) for number, case in enumerate(CASES, start=1)]
            input(f"{len(places)} databases are broken in {folder}. Press enter when you have recovered them. ")
            for number, (case, place) in enumerate(zip(CASES, places, strict=True), start=1):
                print(f"{number:>2}  {'recovered' if is_recovered(case, place) else 'BROKEN':<10} {case.name}")  # noqa: T201
    finally:
        server.remove()


def _built(number: int, case: Case, folder: Path, server: PostgresServer, stack: ExitStack) -> Place:
    home = folder / f"{number:02}"
    home.mkdir(parents=True)
    os.environ["XDG_STATE_HOME"] = str(home / "before")
    database: Database = SqliteDatabase(home / "data.db")
    if case.dialect == "postgresql":
        database = PostgresDatabase(server, server.create_database().rpartition("/")[2])
    place = case.build(Magetui(home), home / "project", database)
    if case.holds is not None and isinstance(database, PostgresDatabase):
        stack.enter_context(database.session(held(case, place), "reporting"))
    script = home / "open"
    script.write_text(OPEN.format(folder=home, python=sys.executable, ini=place.project.ini, url=database.url))
    script.chmod(0o700)
    return place


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
