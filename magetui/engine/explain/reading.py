"""Finds the error in a log: of several, the last one that is no consequence of another."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from magetui.engine.explain.errors import ALEMBIC, Trouble, trouble_of
from magetui.engine.explain.log import lines_of

RUNNING = re.compile(r"Running (?P<direction>upgrade|downgrade) (?P<old>\S*) ?-> (?P<new>[^\s,]*)")
SCRIPT = re.compile(r'File "(?P<file>[^"]*[/\\]versions[/\\][^"]+\.py)", line (?P<line>\d+), in (?P<function>\w+)')
WRAPPED = re.compile(r"(?:sqlalchemy\.exc\.)?(?P<wrapper>\w+Error): \((?P<name>[\w.]+)\) (?P<message>.*)")
UNNAMED = re.compile(r"sqlalchemy\.exc\.\w+Error: (?P<message>[^(].*)")  # of which the class of the driver was cut
DRIVER = re.compile(
    r"(?P<name>(?:psycopg2(?:\.errors)?|psycopg(?:\.errors)?|asyncpg\.exceptions(?:\._base)?|sqlite3|pyodbc)\.\w+): "
    r"(?P<message>.*)"
)
OF_ASYNCPG = re.compile(r"<class '(?P<name>[\w.]+)'>: (?P<message>.*)")
SERVER = re.compile(r"\b(?P<level>ERROR|FATAL): {1,2}(?P<message>\S.*)")
RAISED = re.compile(
    r"(?P<name>(?:\w+\.)*(?:NotImplementedError|ModuleNotFoundError|ImportError|KeyError)): (?P<message>.*)"
)
SQL = re.compile(r"\[SQL: (?P<sql>.*)")
STATEMENT = re.compile(r"\bSTATEMENT: {1,2}(?P<sql>.*)")
PLAIN_DDL = re.compile(r"Will assume (?P<non>non-)?transactional DDL")
CONSEQUENCES = re.compile(
    r"current transaction is aborted|InFailedSqlTransaction|PendingRollbackError|can't be reconnected"
)
NOT_AN_ERROR = re.compile(r"\bERROR +\[alembic|FAILED: ")
REVISION_OF_FILE = re.compile(r"[/\\](?:\d{4}[-_]\d\d[-_]\d\d[-_T\d]*[-_])?(?P<revision>[^/\\]+?)(?:_[^/\\]*)?\.py$")


@dataclass(frozen=True, slots=True)
class LogError:
    """An error of a log. `times`: how often the log has it. `transactional`: what Alembic says of the DDL, if it does.

    `name` is the name of its class, and empty if the server or Alembic says it.
    """

    trouble: Trouble
    message: str
    name: str  # of its class; '' if the server or Alembic says it
    revision: str | None = None
    direction: str | None = None
    statement: str | None = None
    file: str | None = None
    line: int | None = None
    transactional: bool | None = None
    times: int = 1


def read_log(text: str, clean: Callable[[str], str] = str) -> LogError | None:
    """Return the error of a log; None if it has none that is known. `clean` removes credentials from what is kept."""
    lines = lines_of(text)
    found = list(_found(lines))
    if not found:
        return None
    at, trouble, name, message, revision = _chosen(found)
    same = [other for other in found if (other[1], other[3]) == (trouble, message)]
    before = lines[: at + 1]
    running = next((m for line in reversed(before) if (m := RUNNING.search(line))), None)
    script = next((m for line in reversed(before) if (m := SCRIPT.search(line))), None)
    ddl = next((m for line in reversed(before) if (m := PLAIN_DDL.search(line))), None)
    direction = running["direction"] if running else script["function"] if script else None
    if revision is None and running is not None:
        revision = running["new"] if direction == "upgrade" else running["old"]
    elif revision is None and script is not None:
        revision = _revision_of(script["file"])
    statement = _statement(lines, at)
    return LogError(
        trouble,
        clean(message),
        name,
        revision,
        direction if direction in ("upgrade", "downgrade") else None,
        None if statement is None else clean(statement),
        script["file"] if script else None,
        int(script["line"]) if script else None,
        None if ddl is None else ddl["non"] is None,
        _episodes(same),
    )


_Found = tuple[int, Trouble, str, str, str | None]  # the line, the trouble, the class, the message, a revision


def _found(lines: Sequence[str]) -> Iterator[_Found]:
    for at, line in enumerate(lines):
        if CONSEQUENCES.search(line):
            continue
        for words, trouble in ALEMBIC:
            if (own := re.search(words, line)) is not None:
                yield at, trouble, "", own[0], own.groupdict().get("revision")
                break
        else:
            yield from _of_driver(at, line, lines)


def _of_driver(at: int, line: str, lines: Sequence[str]) -> Iterator[_Found]:
    readers = (WRAPPED, DRIVER, UNNAMED, RAISED, SERVER)
    match = next((found for reader in readers if (found := reader.search(line))), None)
    if match is None or NOT_AN_ERROR.search(line):
        return
    name, message = match.groupdict().get("name") or "", match["message"].strip()
    if (inner := OF_ASYNCPG.match(message)) is not None:
        name, message = inner["name"], inner["message"]
    if name.endswith(("ModuleNotFoundError", "ImportError")):
        yield at, "import", name, message, None
    elif name.endswith("KeyError"):
        if any("alembic" in before and "script" in before for before in lines[max(0, at - 30) : at]):
            yield at, "broken-chain", name, message, message.strip("'\"")
    elif (trouble := trouble_of(name, message)) is not None:
        if trouble == "too-long" and "alembic_version" in " ".join(lines[at : at + 4]):
            trouble = "id-too-long"
        yield at, trouble, name, message, None


def _chosen(found: Sequence[_Found]) -> _Found:
    """Return the last error, in the form that tells most: with the class of the driver, if the log has that too."""
    last = found[-1]
    alike = [other for other in found if other[1] == last[1] and last[0] - other[0] < 200]
    return next((other for other in reversed(alike) if other[2]), last)


def _statement(lines: Sequence[str], at: int) -> str | None:
    """Return the statement below the error, without its parameters, which may hold a secret."""
    for number in range(at, min(len(lines), at + 60)):
        if (log := STATEMENT.search(lines[number])) is not None:
            return log["sql"].strip() or None
        if (start := SQL.search(lines[number])) is not None:
            parts = [start["sql"]]
            while not parts[-1].rstrip().endswith("]") and number + 1 < len(lines) and len(parts) < 60:
                number += 1  # noqa: PLW2901 - the rest of the statement
                parts.append(lines[number])
            return "\n".join(parts).rstrip().removesuffix("]").strip() or None
    return None


def _episodes(same: Sequence[_Found]) -> int:
    """Return how often the error happened: one traceback has it up to three times."""
    times, before = 0, -1_000
    for at, *_ in same:
        if at - before > 100:
            times += 1
        before = at
    return max(1, times)


def _revision_of(file: str) -> str | None:
    match = REVISION_OF_FILE.search(file.replace("\\", "/"))
    return match["revision"] if match else None
