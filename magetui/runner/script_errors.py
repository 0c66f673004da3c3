"""The errors of a project's scripts: where they were raised, and their text, also if they have no message."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from magetui.model.server import RunStoppedError
from magetui.protocol.scripts import Scripts

OPEN_TRANSACTION = (
    "autocommit_block() needs a connection without an open transaction of its own, and env.py has begun one before "
    "context.begin_transaction(): by a statement such as SELECT pg_advisory_lock(…). Let env.py execute that statement "
    "on another connection, or end its transaction with connection.commit() first"
)


def error_location(error: BaseException, scripts: Scripts) -> str | None:
    """Return the innermost frame of the traceback that is in a migration script or in env.py, as 'file.py, line 12'."""
    versions = {Path(location).resolve() for location in scripts.version_locations}
    env = Path(scripts.script_location).resolve() / "env.py"
    files = [(Path(frame.filename).resolve(), frame) for frame in reversed(traceback.extract_tb(error.__traceback__))]
    in_scripts = [frame for file, frame in files if file.parent in versions]
    frame = next(iter([*in_scripts, *(frame for file, frame in files if file == env)]), None)
    return None if frame is None else f"{frame.filename}, line {frame.lineno}"


def error_text(error: BaseException) -> str:
    """Return 'ValueError: message'. Without a message, return the line that failed, and the cause if it is known."""
    if isinstance(error, RunStoppedError):
        return str(error)
    name, message = type(error).__name__, str(error).strip()
    if message:
        return f"{name}: {message}"
    frames = traceback.extract_tb(error.__traceback__)
    text = f"{name} without a message"
    if not frames:
        return text
    last = frames[-1]
    text = f"{text}: {last.line} ({last.filename}, line {last.lineno}, in {last.name})"
    is_alembics = isinstance(error, AssertionError) and last.name == "autocommit_block"
    return f"{text}. {OPEN_TRANSACTION}" if is_alembics else text


def first_line(error: BaseException) -> str:
    """Return the first line of `error_text`."""
    return error_text(error).partition("\n")[0]


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that led to an error, the last one first.

    After a lost connection, SQLAlchemy has errors of its own: PendingRollbackError, if it broke in an autocommit_block.
    """
    seen = {id(error)}
    before = error.__cause__ or error.__context__
    while before is not None and id(before) not in seen:
        seen.add(id(before))
        yield before
        before = before.__cause__ or before.__context__
