"""A scratch place: somewhere empty for a chain to be replayed in, of which nothing is left.

Whatever kind of database lends it, what was built there is never committed: it is there for as long as the connection,
and for that connection alone. So there is nothing to be cleared away, not even after a process that was killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection


class ReachedOutside(BaseException):
    """A script reached, or would reach, outside of the scratch place; the message says what, as a sentence.

    No script's `except Exception` shall take it for an error of its own and go on. `elsewhere`: whether it could in a
    database that is there for nothing else.
    """

    def __init__(self, message: str, *, elsewhere: bool = True) -> None:
        self.elsewhere = elsewhere
        super().__init__(message)


class ScratchUnavailableError(Exception):
    """There is no scratch place to be had, as a sentence."""


@dataclass(frozen=True, slots=True)
class Place:
    """What kind of scratch place is wanted.

    `schema`: where unqualified names go in the live database. `apart`: the database is there for this alone, so that
    scripts may name schemas in it; it has to be empty.
    """

    schema: str | None = None
    apart: bool = False
    application_name: str = "magetui replay"


class Scratch(Protocol):
    """A scratch place that is open."""

    @property
    def connection(self) -> Connection:
        """What the chain is replayed on. It commits nothing: what tries to, raises `ReachedOutside`."""

    @property
    def schema(self) -> str | None:
        """The schema where unqualified names go; None where there is but one."""

    @property
    def guard(self) -> str | None:
        """A schema that is the place's own, and nothing of the replay's; None where there is none."""

    def check(self) -> None:
        """Raises `ReachedOutside` where anything outside has been locked, or too much within."""

    def done(self) -> None:
        """The scripts are done: what is asked from here on is our own. Raises as `check`."""

    def hint(self, error: BaseException) -> str | None:
        """Why it may be the scratch place's doing that a script failed, as a sentence."""
