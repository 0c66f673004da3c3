"""Why a server, or what stands before it, forbids to be changed: told before anybody is asked for consent."""

from __future__ import annotations

import re

from magetui.engine.schema.snapshot import Overview
from magetui.model.plan import ChangeVerb
from magetui.model.server import Pooler


def forbidden(state: Overview, verb: ChangeVerb) -> str | None:
    """Why nothing can be changed there by that verb; None where it can."""
    server = state.server
    if server.read_only is not None:
        return server.read_only
    if server.pooler is not None and (objection := pooled(server.pooler)) is not None:
        return objection
    if not nowhere(state):
        return None
    missing = missing_schema(state)
    return None if missing is not None and server.may_create_schemas and verb == "migrate" else no_schema(state)


def nowhere(state: Overview) -> bool:
    """Whether no schema is there where a table could be made, nor a version table that has been made before."""
    server = state.server
    named = bool(server.missing_schemas or server.closed_schemas)
    return named and server.schema is None and state.version_table is None


def missing_schema(state: Overview) -> str | None:
    """The schema that has to be created before anything else; None where one is there, whoever may use it."""
    return state.server.missing_schemas[0] if nowhere(state) and not state.server.closed_schemas else None


def no_schema(state: Overview) -> str:
    """Of a database where `nowhere` holds: why, and who has to do what."""
    server, schema = state.server, missing_schema(state)
    if schema is None:
        closed = server.closed_schemas[0]
        return (
            f"The role {server.user} may not use the schema {closed}, which the search_path names. Let its owner allow "
            f"it: GRANT USAGE, CREATE ON SCHEMA {quoted(closed)} TO {quoted(server.user or 'public')}."
        )
    if not server.may_create_schemas:
        return (
            f"The schema {schema}, which the search_path names, does not exist, and the role {server.user} may not "
            f"create one in the database {server.database}. Let its owner do it: CREATE SCHEMA {quoted(schema)} "
            f"AUTHORIZATION {quoted(server.user or 'public')}."
        )
    return f"The schema {schema}, which the search_path names, does not exist. 'magetui migrate' creates it first."


def quoted(name: str) -> str:
    """As PostgreSQL writes a name where it is not plain."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None
    return name if plain else '"' + name.replace('"', '""') + '"'


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
