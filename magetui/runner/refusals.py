"""What ends a run before anything is done, in sentences."""

from __future__ import annotations

from magetui.model.server import Pooler


class RunRefused(Exception):  # noqa: N818 - it says what happened
    """The database or the scripts are not as they were when the plan was made; nothing was changed."""


class MutexKept(Exception):  # noqa: N818
    """Somebody else was migrating for as long as we were willing to wait."""


def require_sessions(pooler: Pooler | None) -> None:
    """Raise `RunRefused` for a pooler through which the run's own connections would have no session to themselves."""
    if pooler is not None and not pooler.keeps_sessions:
        raise RunRefused(
            "A connection pooler is in between, and it does not keep a session for each client, so that no lock would "
            f"hold. Nothing was done. Connect to the server itself: {pooler.server}."
        )


def refuse_pooler() -> None:
    """Of a connection of env.py's, which goes through one though the run's own do not. Raises `RunRefused`."""
    raise RunRefused(
        "env.py connects through a connection pooler, where neither locks nor timeouts are sure to hold. Nothing was "
        "done. Let env.py take sqlalchemy.url from its configuration, and connect to the server itself."
    )
