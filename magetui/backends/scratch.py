"""Scratch databases: an empty database or schema where the revisions of a project are replayed.

A scratch database exists only for one connection, which never commits. So nothing needs to be cleaned up, not even
after the process was killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class ReachedOutside(BaseException):
    """A script reached outside; the message says where. No `Exception`: a script's `except` must not swallow it."""

    def __init__(self, message: str, *, elsewhere: bool = True) -> None:
        self.elsewhere = elsewhere  # whether it could run in a database that is used for nothing else
        super().__init__(message)


class ScratchUnavailableError(Exception):
    """The server cannot provide a scratch database; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class ScratchRequest:
    """The kind of scratch database that a replay needs.

    `schema` is the schema that unqualified names mean in the live database. `dedicated` is true if the database is
    used for nothing else. Scripts may then name schemas in it, and it must be empty.
    """

    schema: str | None = None
    dedicated: bool = False
    application_name: str = "magetui replay"


class Scratch(Protocol):
    """An open scratch database."""

    connection: Connection  # for the replay; an attempt to commit raises `ReachedOutside`
    schema: str | None  # the schema of unqualified names; None if the dialect has only one schema
    guard: str | None  # a schema of the scratch database itself that no revision made

    def check(self) -> None:
        """Raise `ReachedOutside` if the replay locked an object outside, or too many objects inside."""
        return

    def done(self) -> None:
        """Declare that all scripts have run: later statements are our own. Raises as `check`."""
        return

    def hint(self, error: BaseException) -> str | None:  # noqa: ARG002
        """Return a sentence if the scratch database itself may be the reason for a script's error, else None."""
        return None
