"""Preflight checks of the server: the reasons why the server, its pooler or its schemas forbid a change.

The plan reports them before it asks for consent. The diagnosis reports them as findings.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from magetui.model.names import quoted

if TYPE_CHECKING:
    from magetui.engine.schema.snapshot import Overview
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import ChangeVerb
    from magetui.model.server import Pooler


def forbidden(state: Overview, verb: ChangeVerb) -> str | None:
    """Return the reason why the verb cannot change the database, as sentences, or None if it can."""
    server = state.server
    if server.read_only is not None:
        return server.read_only
    if server.pooler is not None and (problem := pooler_problem(server.pooler)) is not None:
        return problem
    if not lacks_schema(state):
        return None
    missing = missing_schema(state)
    may_create = missing is not None and server.may_create_schemas and verb == "migrate"
    return None if may_create else schema_problem(state)


def consent_name(workspace: Workspace, state: Overview) -> str:
    """Return the name that the operator types to consent: of the database, or of SQLite's file."""
    database = state.server.database
    return Path(database).name if workspace.backend.name == "sqlite" else database


def version_table_name(workspace: Workspace) -> str:
    """Return the name of the version table as SQL."""
    scripts = workspace.project.scripts
    return ".".join(quoted(part) for part in (scripts.version_table_schema, scripts.version_table) if part)


def missing_version_table(workspace: Workspace, state: Overview) -> str | None:
    """Return the name of the version table as SQL if it does not exist, else None."""
    return version_table_name(workspace) if state.version_table is None else None


def lacks_schema(state: Overview) -> bool:
    """Return True if no schema of the search_path can hold a new table, and no version table exists yet."""
    server = state.server
    named = bool(server.missing_schemas or server.closed_schemas)
    return named and server.schema is None and state.version_table is None


def missing_schema(state: Overview) -> str | None:
    """Return the schema to create before anything else, or None if a schema exists, even one that is closed to us."""
    return state.server.missing_schemas[0] if lacks_schema(state) and not state.server.closed_schemas else None


def schema_problem(state: Overview) -> str:
    """Return why `lacks_schema` holds and who has to do what, as sentences."""
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
            f"create a schema in the database {server.database}. Let its owner do it: CREATE SCHEMA {quoted(schema)} "
            f"AUTHORIZATION {quoted(server.user or 'public')}."
        )
    return f"The schema {schema}, which the search_path names, does not exist. 'magetui migrate' creates it first."


def pooler_problem(pooler: Pooler) -> str | None:
    """Return why work that needs a session of its own cannot go through this pooler, or None if it can."""
    if pooler.keeps_sessions and pooler.dropped is None:
        return None
    if pooler.dropped is not None:
        reason = f"and it dropped the search_path of the URL, {pooler.dropped}."
    elif pooler.keeps_sessions is None:
        reason = (
            "and it cannot be determined if it keeps a session for each client, since it gave no second session. "
            "Without that, neither locks nor timeouts hold."
        )
    else:
        reason = (
            "and it gives each transaction another session of the server. No migration lock or timeout holds "
            "there, and a setting would be left to other clients."
        )
    return f"A connection pooler is in between, {reason} Connect to the server itself: {pooler.server}."
