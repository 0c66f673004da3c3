"""The exceptions that end a run before it changes anything, with a sentence for the operator."""

from __future__ import annotations

from magetui.model.server import Pooler


class RunRefused(Exception):  # noqa: N818 - it says what happened
    """The database or the scripts have changed since the plan was made. Nothing was changed by the run."""


class MutexTimeout(Exception):  # noqa: N818 - it says what happened
    """Another migration held the mutex for as long as the run was allowed to wait."""


def require_sessions(pooler: Pooler | None) -> None:
    """Raise `RunRefused` if the run's connections go through a pooler that does not keep a session for each client."""
    if pooler is not None and not pooler.keeps_sessions:
        raise RunRefused(
            "A connection pooler is in between, and it does not keep a session for each client, so no lock would "
            f"hold. Connect to the server itself: {pooler.server}."
        )


def refuse_pooler() -> None:
    """Raise `RunRefused`, because env.py connects through a pooler although the run's own connections do not."""
    raise RunRefused(
        "env.py connects through a connection pooler, where locks and timeouts may not hold. "
        "Let env.py take sqlalchemy.url from its configuration, and connect to the server itself."
    )
