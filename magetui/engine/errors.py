"""All errors of the program: each has a message with advice, its data, and its exit status.

They are in one module that imports nothing at run time. So an error can be raised or caught before anything is loaded.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

if TYPE_CHECKING:
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
    "driver-missing": "Install the driver into the environment of magetui.",
    "not-a-database": "Check the path: the file is not a database, or it is damaged.",
    "not-readable": "Check the path and its permissions.",
    "bad-url": "Give a URL such as postgresql://user:password@host:5432/database or sqlite:////path/to/file.db.",
    "secret": "Check the secret's name and the rights to read it.",
    "pooler": "Connect to the server itself, or let the pooler's administrator allow it.",
    "other": "The server's own message is above.",
}


class MagetuiError(Exception):
    """The base of all errors. The message tells what failed, why, and what to do next; `status` is the exit status."""

    status = 1

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class UsageError(MagetuiError):
    """A flag or argument is wrong."""

    status = 2


class ConnectError(MagetuiError):
    """The database cannot be reached or used. `advice` replaces the advice of `ADVICE` for the cause."""

    def __init__(self, cause: ConnectCause, message: str, advice: str | None = None) -> None:
        self.cause = cause
        super().__init__(f"{message.rstrip()} {advice or ADVICE[cause]}")


def fail_secret(message: str, advice: str) -> NoReturn:
    """Raise a `ConnectError` (`secret`) that is not chained to the original error, which may repeat credentials."""
    raise ConnectError("secret", message, advice) from None


class ProjectError(MagetuiError):
    """The project has no migration scripts at the expected path."""

    status = 2


class RevisionError(MagetuiError):
    """No revision matches the given id, or several do; `candidates` are the revisions that match."""

    status = 2

    def __init__(self, message: str, candidates: Sequence[str] = ()) -> None:
        self.candidates = tuple(candidates)
        super().__init__(message)


class ChainError(MagetuiError):
    """The scripts are broken, so nothing can be planned from them."""


class RefusedError(MagetuiError):
    """The change is not allowed in the current state, or the operator did not consent to it."""

    status = 4


class UntrustedError(RefusedError):
    """The project's own code would have to run, and the operator has not trusted it."""


class LockTimeoutError(MagetuiError):
    """A lock timed out; `sessions` hold the lock, or wait for it first."""

    status = 5

    def __init__(self, message: str, sessions: Sequence[Session] = ()) -> None:
        self.sessions = tuple(sessions)
        super().__init__(message)


class StateError(MagetuiError):
    """The state directory cannot be written or read. Without it a run would leave no record, so no run starts."""

    def __init__(self, path: Path, error: OSError, doing: Literal["write", "read"] = "write") -> None:
        self.path = path
        done = "written" if doing == "write" else "read"
        advice = f"Set XDG_STATE_HOME to a directory that you may {doing}."
        if error.errno == errno.ELOOP:  # it was opened with O_NOFOLLOW
            advice = f"It is a link, perhaps planted by somebody. Look at it, and remove {error.filename}."
        super().__init__(f"The record of runs cannot be {done} in {path}: {error.strerror}. Nothing was done. {advice}")


class UnreadableRunError(MagetuiError):
    """A journal holds no run."""


class RunNotFoundError(MagetuiError):
    """No journal exists for the run."""

    status = 2
