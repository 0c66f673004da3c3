"""Thousands of damaged inputs, always the same ones: no traceback, no hang. A number in a message finds one again."""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from magetui.backends.postgresql.backend import PostgreSQL
from magetui.config.settings import settings_of
from magetui.engine.errors import MagetuiError
from magetui.engine.project.project import alembic_project
from magetui.engine.revisions.graph import read_chain
from magetui.engine.runs import follow
from magetui.text import documents, formats
from magetui.text.run_report import report
from magetui.text.terminal import Text
from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ODD = (
    "",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "é",
    "\udc80",
    "9" * 400,
    "[" * 3000,
    "'",
    '"',
    "\\",
    "%",
    "{",
    "%(here)s",
    "\r",
)
EXPRESSIONS = ("('rev1',)", "['rev1', 3]", "rev1", "1 + 1", "f'{1}'", "-" * 4000 + "1")
NOTHING: tuple[Any, ...] = (None, True, "", [], {}, [[[[]]]])
VALUES: tuple[Any, ...] = (*NOTHING, -1, 10**30, 3.5, "x" * 10_000, ["\x1b"], {"event": "run-ended"}, "\ud800")


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return the data with one to four places changed, removed, repeated or cut."""
    for _ in range(dice.randint(1, 4)):
        at, length = dice.randrange(len(data) + 1), dice.choice((1, 2, 5, 40))
        odd = dice.choice(ODD).encode(errors="surrogatepass")
        data = dice.choice(
            (
                data[:at] + odd + data[at + length :],
                data[:at] + odd + data[at:],
                data[:at] + data[at + length :],
                data[:at] + data[at : at + length] * 3 + data[at:],
                data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :],
                data[:at],
            )
        )
    return data


def odd_values(line: str, dice: random.Random) -> str:
    """Return an event with a value of another kind, or without one."""
    event = json.loads(line)
    key = dice.choice(sorted(event))
    if dice.random() < 0.2:
        del event[key]
    else:
        event[key] = dice.choice(VALUES)
    return json.dumps(event)


def without_traceback(number: int, attempt: Callable[[], Any]) -> None:
    """Make the attempt. An error of the program is an answer; any other error is a fault."""
    try:
        attempt()
    except MagetuiError as error:
        assert error.message, number
    except BaseException as error:
        raise AssertionError(f"number {number}: {type(error).__name__}: {error}") from error


def shown(lines: Iterator[str]) -> None:
    for line in lines:
        formats.for_terminal(line, colour=False).encode(errors="backslashreplace")


@pytest.fixture
def project(tmp_path: Path, sqlite_database: SqliteDatabase) -> AlembicProject:
    return make_project(tmp_path / "project", linear(3), sqlite_database.url)


def test_two_thousand_damaged_journals(magetui: Magetui, project: AlembicProject, state_dir: Path) -> None:
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    path = state_dir / "runs" / "1.jsonl"
    original = path.read_bytes()
    dice = random.Random(1)
    text = Text(colour=False)

    def read() -> None:
        record = follow.read_run(os.environ, 1)
        happened = follow.read_events(os.environ, 1)
        shown(iter(report(record, happened)))
        shown(iter(text.run(record)))
        documents.as_json(documents.run_document(record))
        shown(iter(text.runs(follow.list_runs(os.environ).records)))

    for number in range(2_000):
        lines = original.decode().splitlines()
        if number % 2:
            for _ in range(dice.randint(1, 3)):
                at = dice.randrange(len(lines))
                lines[at] = odd_values(lines[at], dice) if lines[at].startswith("{") else lines[at]
            data = "\n".join(lines).encode(errors="surrogatepass") + b"\n"
        else:
            data = damaged(original, dice)
        path.write_bytes(data)
        without_traceback(number, read)


def test_two_thousand_damaged_headers(project: AlembicProject) -> None:
    files = sorted(project.versions.glob("*.py"))
    original = {file: file.read_bytes() for file in files}
    dice = random.Random(2)
    text = Text(colour=False)

    def read() -> None:
        chain = read_chain([project.versions])
        shown(iter(text.history(chain)))
        documents.as_json(documents.history_document(chain))
        chain.require_graph()

    for number in range(2_000):
        file = dice.choice(files)
        header, end, rest = original[file].partition(b"def upgrade")
        if number % 3 == 0:
            name = dice.choice(("revision", "down_revision", "branch_labels", "depends_on"))
            value = dice.choice((*map(repr, VALUES), *EXPRESSIONS))
            file.write_text(f"{header.decode()}\n{name} = {value}\n\n{(end + rest).decode()}")
        else:
            file.write_bytes(damaged(header, dice) + end + rest)
        without_traceback(number, read)
        file.write_bytes(original[file])


@pytest.mark.parametrize("kind", ["alembic.ini", "pyproject.toml", "magetui.toml"])
def test_five_hundred_damaged_configuration_files(
    project: AlembicProject, kind: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.directory)
    file = project.directory / kind
    if kind == "pyproject.toml":
        project.ini.unlink()
        file.write_text('[tool.alembic]\nscript_location = "%(here)s/migrations"\nversion_table = "v"\n')
    elif kind == "magetui.toml":
        file = own
        file.write_text('lock_retries = 3\nread_only = true\n[keys]\nmigrate = "M"\n[targets.a]\nurl = "sqlite:///x"\n')
    original = file.read_bytes()
    dice = random.Random(kind)

    def read() -> None:
        if kind == "magetui.toml":
            settings_of({}, os.environ, terminal=False)
        else:
            found = alembic_project(file)
            read_chain(found.version_locations)

    for number in range(500):
        file.write_bytes(damaged(original, dice))
        without_traceback(number, read)


def test_five_hundred_messages_of_a_server(pg_database: PostgresDatabase) -> None:
    """Errors with odd texts, details, hints and codes, as triggers and extensions raise them."""
    dice = random.Random(4)
    backend = PostgreSQL()
    letters = string.ascii_uppercase + string.digits
    connection = pg_database.server.connect(pg_database.name)
    connection.autocommit = True
    for number in range(500):
        code = "".join(dice.choices(letters, k=5))
        texts = [dice.choice((*ODD, "a\nb\nc", "x" * 20_000, "password 'geheim'")) for _ in range(3)]
        clean = [text.replace("\x00", "").encode(errors="ignore").decode() or "?" for text in texts]
        raising = "raise exception using errcode = %s, message = %s, detail = %s, hint = %s"
        with connection.cursor() as cursor:
            quoted = cursor.mogrify(raising, ("P0001" if code.startswith("00") else code, *clean)).decode()
            block = cursor.mogrify("do %s", (f"begin {quoted}; end",))
            try:
                cursor.execute(block)
            except psycopg2.Error as error:
                raised = error
            else:
                raise AssertionError(f"number {number}: the server raised nothing")

        def tell(error: psycopg2.Error = raised) -> None:
            failure = backend.failure(error)
            assert failure.message
            shown(iter([formats.plain(failure.message), formats.one_line(failure.message, 100)]))

        without_traceback(number, tell)
    connection.close()
