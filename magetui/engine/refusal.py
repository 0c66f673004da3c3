"""Why a server, or what stands before it, forbids to be changed: told before anybody is asked for consent."""

from __future__ import annotations

from magetui.backends.base import Pooler, ServerFacts


def forbidden(server: ServerFacts) -> str | None:
    """Why nothing can be changed there; None where it can."""
    if server.read_only is not None:
        return server.read_only
    return None if server.pooler is None else pooled(server.pooler)


def pooled(pooler: Pooler) -> str | None:
    """Why what needs a session of its own cannot be done through a pooler; None where it can."""
    said = f"A connection pooler is in between{_because(pooler)}"
    if pooler.keeps_sessions and pooler.dropped is None:
        return None
    return f"{said} Connect to the server itself: {pooler.server}."


def _because(pooler: Pooler) -> str:
    if pooler.dropped is not None:
        return f", and it dropped the search_path of the URL, {pooler.dropped}."
    if pooler.keeps_sessions is None:
        return (
            ", and whether it keeps a session for each client cannot be told, since it gave no second one. Without "
            "that, neither locks nor timeouts hold."
        )
    return (
        ", and it gives each transaction another session of the server: no migration lock holds there, nor a timeout, "
        "and a setting would be left to other clients."
    )
