"""The one tree of errors: each is a sentence with its data, says what to do next, and knows its exit status."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # so that an error can be raised, or caught, before anything is loaded
    from magetui.model.server import ConnectCause
    from magetui.model.sessions import Session

ADVICE: dict[ConnectCause, str] = {
    "name": "Check the host in the URL, and that this machine can resolve it.",
    "refused": "Check the host and port, and that the server is running.",
    "timeout": "Check the host and port, and that no firewall drops the connection.",
    "tls": "Check sslmode and the certificates named in the URL.",
    "password": "Check the user and password. Special characters in a password must be percent-encoded.",
    "no-database": "Check the database's name, or create it.",
    "too-many-connections": "Wait for a connection to become free, or end idle ones.",
    "driver-missing": "Install the driver into the environment magetui runs in.",
    "not-a-database": "Check the path: the file is something else, or damaged.",
    "not-readable": "Check the path and its permissions.",
    "bad-url": "Give a URL such as postgresql://user:password@host:5432/database or sqlite:////path/to/file.db.",
    "secret": "Check the secret's name and the rights to read it.",
    "pooler": "Connect to the server itself, or let the pooler's administrator allow it.",
    "other": "The server's own words are above.",
}


class MagetuiError(Exception):
    """What went wrong, what it means here and what to do next, as one text; `status` is the exit status."""

    status = 1

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class UsageError(MagetuiError):
    """A flag or argument that cannot be right."""

    status = 2


class ConnectError(MagetuiError):
    """The database cannot be reached or used; `cause` is one of PRODUCT's causes of `cannot-connect`.

    `advice` is what to do next, where something better than the cause's own is known.
    """

    def __init__(self, cause: ConnectCause, message: str, advice: str | None = None) -> None:
        self.cause = cause
        super().__init__(f"{message.rstrip()} {advice or ADVICE[cause]}")

    @staticmethod
    def advised() -> frozenset[str]:
        """All causes."""
        return frozenset(ADVICE)


class ProjectError(MagetuiError):
    """There are no migration scripts where they were looked for."""

    status = 2


class RevisionError(MagetuiError):
    """A revision that was named does not exist, or several match; `candidates` are those that do."""

    status = 2

    def __init__(self, message: str, candidates: Sequence[str] = ()) -> None:
        self.candidates = tuple(candidates)
        super().__init__(message)


class ChainError(MagetuiError):
    """The scripts are broken so that nothing can be planned from them."""


class RefusedError(MagetuiError):
    """A change that may not be made in the present state, or was not consented to."""

    status = 4


class LockTimeoutError(MagetuiError):
    """A lock was not to be had in time; `sessions` are those that have it, or wait for it first."""

    status = 5

    def __init__(self, message: str, sessions: Sequence[Session] = ()) -> None:
        self.sessions = tuple(sessions)
        super().__init__(message)


class StateError(MagetuiError):
    """The state directory cannot be written, so a run could leave no record and is not begun; or cannot be read."""

    def __init__(self, path: Path, error: OSError, doing: Literal["write", "read"] = "write") -> None:
        self.path = path
        what = "written in" if doing == "write" else "read in"
        super().__init__(
            f"The record of runs cannot be {what} {path}: {error.strerror}. Nothing was done. "
            f"Set XDG_STATE_HOME to a directory that you may {doing}."
        )


class RunNotFoundError(MagetuiError):
    """There is no journal of that run."""

    status = 2
