"""Findings about the access to a database: its schema, the role's rights on it, and a pooler before the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from magetui.engine.diagnosis.finding import Finding, Severity, some
from magetui.engine.prerequisites import lacks_schema, missing_schema, pooler_problem, schema_problem
from magetui.model.names import quoted

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.schema.snapshot import Overview


def access_findings(overview: Overview, obstacle: Severity) -> Iterator[Finding]:
    """Yield the findings. `obstacle` is the severity of what only blocks a migration: lower if nothing is pending."""
    server = overview.server
    if lacks_schema(overview):
        yield _nowhere_finding(overview)
    elif server.missing_schemas:
        names = ", ".join(server.missing_schemas)
        goes = f"Tables go to {server.schema}." if server.schema else "The version table is elsewhere."
        message = f"The search_path names a schema that does not exist: {names}. {goes}"
        yield Finding("schema-missing", "info", message, {"schemas": list(server.missing_schemas)}, "connect")
    if server.schema is not None and not server.may_create_tables:
        yield Finding(
            "missing-rights",
            obstacle,
            f"The role {server.user} may not create anything in the schema {server.schema}. Let its owner allow it: "
            f"GRANT CREATE ON SCHEMA {quoted(server.schema)} TO {quoted(server.user or 'public')}.",
            {"schema": server.schema, "user": server.user},
            "connect",
        )
    if (pooler := server.pooler) is not None:
        problem = pooler_problem(pooler)
        message = (
            "The connection goes through a pooler that keeps a session of the server for each client: locks and "
            "timeouts work."
            if problem is None
            else f"{problem} Reading works; changes and backups are refused here."
        )
        severity: Severity = "info" if problem is None else "warning" if pooler.dropped else obstacle
        dropped = pooler.dropped
        facts = {"keeps_sessions": pooler.keeps_sessions, "server": pooler.server, "dropped_search_path": dropped}
        yield Finding("pooler", severity, message, facts, None if problem is None else "connect")


def owner_findings(chain: Chain, overview: Overview) -> Iterator[Finding]:
    """Yield a finding if the owner of the version table may not use tables of the chain: another role created them.

    Other tables may belong to another application, so only tables count that a script names.
    """
    tables = [table for table in overview.withheld if chain.naming(table.name)]
    version_table = overview.version_table
    if not tables or version_table is None:
        return
    path = (version_table.schema, version_table.name)
    owner = next((table.owner for table in overview.tables if (table.schema, table.name) == path), None)
    names, owners = [table.name for table in tables], sorted({table.owner or "?" for table in tables})
    sql = [f"ALTER TABLE {quoted(t.schema or '')}.{quoted(t.name)} OWNER TO {quoted(owner or '')}" for t in tables]
    user = overview.server.user
    ours = f" {user} is the role of this URL: migrate with the rights of {owner} from now on." if user in owners else ""
    yield Finding(
        "owners-differ",
        "warning",
        f"The role {owner} owns {version_table.name} and has no right on {some(names)} (owner: {', '.join(owners)}): "
        f"whoever works as {owner} gets 'permission denied'. As {owners[0]} or a superuser: "
        f"{'; '.join(sql)};{ours}",
        {"tables": names, "owners": owners, "owner": owner, "sql": sql},
        "diagnose",
    )


def _nowhere_finding(overview: Overview) -> Finding:
    """Return the finding for a database without a schema for tables; its next verb depends on who may create one."""
    server = overview.server
    if missing_schema(overview) is None:
        facts = {"schema": server.closed_schemas[0], "user": server.user}
        return Finding("missing-rights", "critical", schema_problem(overview), facts, "connect")
    elsewhere = any(not table.effective for table in overview.version_tables)
    creatable = server.may_create_schemas and server.read_only is None
    return Finding(
        "schema-missing",
        "critical",
        schema_problem(overview),
        {"schemas": list(server.missing_schemas), "may_create": server.may_create_schemas},
        "migrate" if creatable and not elsewhere else "connect",
    )
