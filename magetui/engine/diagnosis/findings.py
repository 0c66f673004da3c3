"""The findings from an overview of the database: sentences with the next verb.

The functions take values and return values. `diagnosis` reads the database and puts the findings in order, so that each
rule can be tested on plain values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magetui.engine.diagnosis.access import access_findings, owner_findings
from magetui.engine.diagnosis.finding import UNTRUSTED, Finding, Severity, some
from magetui.engine.diagnosis.leftovers import leftover_findings
from magetui.engine.diagnosis.session_findings import migrator_findings, session_findings
from magetui.engine.prerequisites import lacks_schema
from magetui.engine.project.releases import Origin, origin_of, releases
from magetui.engine.project.trust import HOW_TO_TRUST, ProjectCode
from magetui.engine.target.url_options import shown_with_setting
from magetui.model.names import quoted

if TYPE_CHECKING:
    from magetui.engine.project.interpreter import Interpreter
    from magetui.engine.project.project import Project
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.schema.snapshot import Overview
    from magetui.engine.target.target import Target

FIND_OUT_FIRST = "Find out which revision the schema matches, and stamp it, before anything is migrated."


def chain_findings(chain: Chain, *, all_applied: bool) -> tuple[Finding, ...]:
    """Return the findings about the scripts. Several heads are no problem if all of them are applied."""
    advice = (
        " All of them are applied, but 'alembic upgrade head' fails while there are several: use 'heads', or join them "
        "with 'alembic merge heads'."
        if all_applied
        else " Migrate to one of them by its id, or to all of them: 'migrate --revision heads'."
    )
    return tuple(
        Finding(
            code="unreadable-script" if problem.code == "no-scripts" else problem.code,
            severity="info" if problem.code == "several-heads" else "critical",
            message=problem.message + (advice if problem.code == "several-heads" else f" {problem.advice}"),
            facts={"files": [str(path) for path in problem.files], "revisions": list(problem.revisions)},
            next="history",
        )
        for problem in chain.problems
    )


def findings_of(
    project: Project, chain: Chain, overview: Overview, pending: tuple[str, ...], target: Target
) -> tuple[Finding, ...]:
    """Return the findings about the current revision, leftovers, access, the server, and blocking sessions."""
    current = (
        *_version_table_findings(project, overview, target),
        *_current_findings(project, chain, overview, pending),
    )
    to_do = lacks_schema(overview) or any(finding.severity in ("warning", "critical") for finding in current)
    obstacle: Severity = "warning" if to_do else "info"
    return (
        *current,
        *leftover_findings(chain, overview, pending),
        *access_findings(overview, obstacle),
        *owner_findings(chain, overview),
        *_server_findings(overview, obstacle),
        *session_findings(project, overview, obstacle),
        *migrator_findings(project, overview),
    )


def environment_findings(
    project: Project, python: Interpreter, untrusted: ProjectCode | None = None
) -> Iterator[Finding]:
    if untrusted is not None:
        yield _untrusted(untrusted, project)
        return
    if python.problem is not None:
        message = f"The scripts cannot be run by {python.path} ({python.why}). {python.problem}"
        yield Finding("unsupported-python", "critical", message, {"python": python.path})
        return
    if project.doubt is not None:
        table = project.scripts.version_table
        yield Finding(
            "env-not-asked",
            "warning",
            f"env.py did not say what it configures: {project.doubt}. The version table is assumed to be {table}. "
            "A run is refused if env.py uses another one.",
            {"error": project.doubt, "version_table": table},
        )
    if project.others:
        yield Finding(
            "several-databases",
            "info",
            f"env.py works on others too: {', '.join(project.others)}. This is about one version table of one "
            "database. A run changes nothing in the others. Choose another database with --name or --url, and "
            "another schema by the search_path in --url.",
            {"others": list(project.others)},
        )


def _untrusted(code: ProjectCode, project: Project) -> Finding:
    since = f" These files have changed since it was: {', '.join(code.changed)}." if code.changed else ""
    again = " as it is now" if code.changed else ""
    table = f" The version table is assumed to be {project.scripts.version_table}." if project.doubt else ""
    return Finding(
        UNTRUSTED,
        "warning",
        f"The project {code.folder} is not trusted{again}, so none of its code has run: no env.py, no script, no "
        f"interpreter of its own.{since}{table} Without its code nothing can be planned, and this diagnosis does not "
        f"compare the schema. To trust it, {HOW_TO_TRUST}.",
        {"folder": code.folder, "changed": list(code.changed)},
        "trust",
    )


def _version_table_findings(project: Project, overview: Overview, target: Target) -> Iterator[Finding]:
    """Yield findings about version tables in other schemas, and about those of other chains."""
    table, name = overview.version_table, project.scripts.version_table
    elsewhere = [t for t in overview.version_tables if not t.effective and t.name == name]
    if elsewhere:
        names = ", ".join(f"{t.schema} ({_listed(t.rows)})" for t in elsewhere)
        urls = [shown_with_setting(target.url, "search_path", quoted(t.schema or "")) for t in elsewhere]
        message = f"There is a version table in another schema {'too' if table else 'instead'}: {names}."
        message += (
            f" To work with {elsewhere[0].schema}, the URL, the application's too, needs this behind the name of the "
            f"database from now on: "
            f"?{urls[0].partition('?')[2]}"
        )
        facts = {"schemas": [t.schema for t in elsewhere], "urls": urls}
        yield Finding("version-table-elsewhere", "info" if table else "critical", message, facts, "connect")
    of_others = [t for t in overview.version_tables if t.name != name and t.rows]
    if of_others:
        rows = "; ".join(f"{t.name} says {_listed(t.rows)}" for t in of_others)
        message = f"Other chains have version tables here: {rows}. They are not about this chain."
        yield Finding("other-version-tables", "info", message, {"tables": [t.name for t in of_others]})


def _current_findings(
    project: Project, chain: Chain, overview: Overview, pending: tuple[str, ...]
) -> Iterator[Finding]:
    table, name = overview.version_table, project.scripts.version_table
    version_tables = {name, *(t.name for t in overview.version_tables)}
    others = [t for t in overview.tables if t.name not in version_tables]
    if table is None and overview.server.schema is not None:
        # the other schemas may belong to somebody else
        others = [t for t in others if t.schema in (None, overview.server.schema)]
    if lacks_schema(overview):
        return  # the finding about the missing schema says it
    if table is None and not others:
        missing = f"The file {overview.file_missing} does not exist yet. " if overview.file_missing else ""
        what = f"The schema {overview.server.schema}" if overview.tables else "The database"
        is_elsewhere = any(t.name == project.scripts.version_table and t.rows for t in overview.version_tables)
        yield Finding(
            "empty-database",
            "warning",
            f"{missing}{what} has no tables at all. If you expected tables, check the URL. "
            + ("" if is_elsewhere else "For a new installation, 'magetui migrate' creates all tables."),
            {"tables": 0, "pending": len(pending)},
            None if is_elsewhere else "migrate",
        )
    elif table is None:
        yield Finding(
            "no-version-table",
            "critical",
            f"There are {len(others)} tables but no version table {name}, so the current revision is not known. "
            f"{FIND_OUT_FIRST}",
            {"tables": len(others), "version_table": name},
            "stamp",
        )
    elif table.rows is None:
        message = f"The version table {name} cannot be read: {table.problem}"
        verb = "locks" if "locked" in (table.problem or "") else "connect"  # as another role
        yield Finding("unreadable-version-table", "critical", message, {"version_table": name}, verb)
    elif not table.rows:
        beside = (
            f", and there are {len(others)} other tables. {FIND_OUT_FIRST}"
            if others
            else " and there are no other tables: nothing is applied. 'magetui migrate' creates all tables."
        )
        yield Finding(
            "empty-version-table",
            "critical" if others else "warning",
            f"The version table {name} is empty{beside}",
            {"tables": len(others), "pending": len(pending)},
            "stamp" if others else "migrate",
        )
    elif not chain.broken:
        yield from _row_findings(project, chain, overview.current, pending)


def _row_findings(
    project: Project, chain: Chain, current: tuple[str, ...], pending: tuple[str, ...]
) -> Iterator[Finding]:
    if unknown := chain.unknown(current):
        yield from (_unknown_finding(project, chain, revision) for revision in unknown)
        return
    if chain.contradicts(current):
        yield Finding(
            "several-current-revisions",
            "critical",
            f"The version table has {len(current)} rows ({', '.join(current)}), more than the chain's branches "
            "explain. Find out which revision is right, then stamp it.",
            {"current": list(current)},
            "stamp",
        )
        return
    origin = None
    if project.kind == "mage" and len(current) == 1:
        origin = origin_of(current[0], chain, project.version)
    if origin is not None and origin.first is None:
        origin = None  # no known release of Mage has the current revision
    if pending:
        some = "1 revision is" if len(pending) == 1 else f"{len(pending)} revisions are"
        yield Finding(
            "behind",
            "warning",
            f"{some} pending: the current revision is {_listed(current)}, the "
            f"{'head' if len(chain.heads) == 1 else 'heads'} {_listed(tuple(sorted(chain.heads)))}."
            + (_describe_origin_behind(origin) if origin is not None else ""),
            {"pending": list(pending), "current": list(current), "heads": list(chain.heads), **_release_facts(origin)},
            "migrate",
        )
        return
    belongs = ""
    if origin is not None and origin.release_range:  # the Mage that runs on this database without migrating
        belongs = f" It belongs to {origin.release_range}{_running(origin)}."
    is_head = "revision is the head" if len(current) == 1 else "revisions are the heads"
    message = f"The current {is_head}, {_listed(tuple(sorted(current)))}.{belongs}"
    yield Finding("up-to-date", "ok", message, {"current": list(current), **_release_facts(origin)})


def _release_facts(origin: Origin | None) -> dict[str, Any]:
    if origin is None:
        return {}
    which = {"releases": origin.release_range, "first_release": origin.first}
    return {**which, "running": origin.running, "pin": origin.pin}


def _running(origin: Origin) -> str:
    return f"; you run {origin.running}" if origin.running else ""


def _describe_origin_behind(origin: Origin) -> str:
    """Return which Mage left a database behind the head, and how to run that Mage instead of migrating."""
    runs = _running(origin)
    if origin.release_range:
        again = f" To run that again instead: '{origin.command}'." if origin.pin in origin.versions else _least(origin)
        return f" It was written by {origin.release_range}{runs}.{again}"
    return f" No release of Mage stopped there: mage-ai {origin.first} is the first that has it{runs}.{_least(origin)}"


def _least(origin: Origin) -> str:
    """Return the sentence about the release that migrates the least, if one can be installed."""
    return f" '{origin.command}' migrates the least." if origin.command else ""


def _unknown_finding(project: Project, chain: Chain, unknown: str) -> Finding:
    origin = origin_of(unknown, chain, project.version) if project.kind == "mage" else None
    ours = project.name if project.kind == "mage" else f"'{project.name}'"
    return Finding(
        "unknown-revision",
        "critical",
        f"The database is at revision {unknown}, which the chain of {ours} does not have ({len(chain.revisions)} "
        f"revisions). {_describe_origin_unknown(origin, chain)}",
        {"current": unknown, "releases": None, "head": list(chain.heads), **_release_facts(origin)},
        "evidence" if origin is not None and origin.ahead else "stamp",
    )


def _describe_origin_unknown(origin: Origin | None, chain: Chain) -> str:
    if origin is None:
        return (
            "Another version of the project may have it: look in its other branches and releases first, and run its "
            "scripts if one has it."
        )
    if origin.release_range is None:
        return (
            f"No release of Mage up to {releases()[-1].version}, the newest known here, has it as its head. A newer "
            "release may have it, or a modified version of Mage."
        )
    written = f"It was written by {origin.release_range}{_running(origin)}."
    again = (
        f"Run that release again: '{origin.command}'."
        if origin.command
        else "No published package of it has that revision."
    )
    if origin.ahead and len(chain.heads) == 1:
        return (
            f"{written} The database is ahead of your Mage. {again} Or, with that release installed, roll back first: "
            f"'magetui rollback --revision {chain.heads[0]}'."
        )
    return f"{written} {again}"


def _server_findings(overview: Overview, obstacle: Severity) -> Iterator[Finding]:
    server = overview.server
    if server.experimental is not None:
        yield Finding("experimental", "info", server.experimental)
    if server.hidden is not None:
        yield Finding("sessions-hidden", "info", server.hidden)
    if server.read_only is not None:
        message = f"{server.read_only} Nothing can be migrated here."
        yield Finding("server-read-only", obstacle, message, {"reason": server.read_only}, "connect")
    if overview.not_owned:
        owners = sorted({table.owner for table in overview.not_owned if table.owner})
        tables = [table.name for table in overview.not_owned]
        message = f"The role {server.user} may not alter {some(tables)}."
        if owners:
            message = (
                f"The role {server.user} does not own {some(tables)} (owner: {', '.join(owners)}), and only an owner "
                "may alter a table."
            )
        yield Finding("not-owner", obstacle, message, {"tables": tables, "owners": owners}, "connect")


def _listed(revisions: tuple[str, ...] | None) -> str:
    return ", ".join(revisions) if revisions else "nothing"
