"""What a state means, in sentences with the next verb: values in, findings out, nothing is read here.

`diagnosis` reads and puts them in order; every judgement can be tested on plain values.
"""

from __future__ import annotations

from typing import Any

from magetui.engine.diagnosis.access import access_findings
from magetui.engine.diagnosis.finding import Finding, Severity
from magetui.engine.diagnosis.leftovers import leftover_findings
from magetui.engine.preflight import lacks_schema
from magetui.engine.project.project import Project
from magetui.engine.project.releases import Origin, origin_of, releases
from magetui.engine.revisions.graph import Chain
from magetui.engine.schema.snapshot import DatabaseState
from magetui.engine.sessions.listing import OWN_RUN
from magetui.model.sessions import MutexHolder, Session

LONG_TRANSACTION_MS = 1_000
NAMED_AT_MOST = 5
LEFT_LOCK = (
    " Or nobody is: whoever migrates through the pooler leaves this lock behind on a session of the server's. Where "
    "nobody does, 'locks' can end that session, which gives it back."
)


def chain_findings(chain: Chain, *, all_applied: bool) -> tuple[Finding, ...]:
    """What is wrong with the scripts themselves; several heads are nothing wrong where all of them are applied."""
    way_on = " All of it is applied." if all_applied else " Migrate to one of them by its id."
    return tuple(
        Finding(
            code="unreadable-script" if problem.code == "no-scripts" else problem.code,
            severity="critical" if problem.code != "several-heads" else "info" if all_applied else "warning",
            message=problem.message + (way_on if problem.code == "several-heads" else " Mend the scripts first."),
            facts={"files": [str(path) for path in problem.files], "revisions": list(problem.revisions)},
            next="history",
        )
        for problem in chain.problems
    )


def findings_of(project: Project, chain: Chain, state: DatabaseState, pending: tuple[str, ...]) -> tuple[Finding, ...]:
    """What the state means: about the current revision, the server, and the sessions in the way."""
    current = _current_findings(project, chain, state, pending)
    to_do = lacks_schema(state) or any(finding.severity in ("warning", "critical") for finding in current)
    return (
        *current,
        *leftover_findings(chain, state, pending),
        *access_findings(state, to_do=to_do),
        *_server_findings(state, to_do=to_do),
        *_session_findings(state, to_do=to_do),
    )


def environment_findings(project: Project) -> list[Finding]:
    """What there is to know of the project's env.py."""
    found: list[Finding] = []
    if project.doubt is not None:
        table = project.scripts.version_table
        found.append(
            Finding(
                "env-not-asked",
                "warning",
                f"env.py could not be asked what it configures: {project.doubt}. So the version table is taken to be "
                f"{table}. A run is refused where env.py works on another one.",
                {"error": project.doubt, "version_table": table},
                None,
            )
        )
    if project.others:
        found.append(
            Finding(
                "several-databases",
                "info",
                f"env.py works on other databases too: {', '.join(project.others)}. This is about one of them alone, "
                "and a run connects to the others but changes nothing there. --name or --url names another.",
                {"others": list(project.others)},
                None,
            )
        )
    return found


def _current_findings(project: Project, chain: Chain, state: DatabaseState, pending: tuple[str, ...]) -> list[Finding]:
    found: list[Finding] = []
    table, current = state.version_table, state.current
    elsewhere = [t for t in state.version_tables if not t.effective]
    name = project.scripts.version_table
    others = [t for t in state.tables if t.name != name]
    if table is None and state.server.schema is not None:
        others = [
            t for t in others if t.schema in (None, state.server.schema)
        ]  # the other schemas may be somebody else's
    if elsewhere:
        places = ", ".join(f"{t.schema} ({_spoken(t.rows)})" for t in elsewhere)
        found.append(
            Finding(
                "version-table-elsewhere",
                "info" if table is not None else "critical",
                f"There is a version table in another schema {'too' if table else 'instead'}: {places}. "
                "Check the search_path of the URL.",
                {"schemas": [t.schema for t in elsewhere]},
                "connect",
            )
        )
    if lacks_schema(state):
        pass  # it is told with the schema that is missing
    elif table is None and not others:
        missing = f"The file {state.file_missing} does not exist yet. " if state.file_missing else ""
        what = f"The schema {state.server.schema}" if state.tables else "The database"
        found.append(
            Finding(
                "empty-database",
                "warning",
                f"{missing}{what} has no tables at all. If it had any, this is not it: look at the URL. For a new "
                "installation, 'migrate' creates all of it.",
                {"tables": 0, "pending": len(pending)},
                "migrate",
            )
        )
    elif table is None:
        found.append(
            Finding(
                "no-version-table",
                "critical",
                f"There are {len(others)} tables but no version table {name}, so nothing says which revision they are "
                "at. Find out which one the schema matches, and stamp it, before anything is migrated.",
                {"tables": len(others), "version_table": name},
                "stamp",
            )
        )
    elif table.rows is None:
        found.append(
            Finding(
                "unreadable-version-table",
                "critical",
                f"The version table {name} cannot be read: {table.problem}",
                {"version_table": name},
                "schema",
            )
        )
    elif not table.rows:
        found.append(
            Finding(
                "empty-version-table",
                "critical" if others else "warning",
                f"The version table {name} is empty"
                + (
                    f", and there are {len(others)} other tables. Find out which revision the schema matches, "
                    "and stamp it, before anything is migrated."
                    if others
                    else " and there are no other tables: nothing is applied. 'migrate' creates all of it."
                ),
                {"tables": len(others), "pending": len(pending)},
                "stamp" if others else "migrate",
            )
        )
    elif not chain.broken:
        found.extend(_row_findings(project, chain, current, pending))
    return found


def _row_findings(project: Project, chain: Chain, current: tuple[str, ...], pending: tuple[str, ...]) -> list[Finding]:
    if unknown := chain.unknown(current):
        return [_unknown_finding(project, chain, one) for one in unknown]
    if chain.contradicts(current):
        return [
            Finding(
                "several-current-revisions",
                "critical",
                f"The version table has {len(current)} rows ({', '.join(current)}), more than the chain's branches "
                "explain. Find out which one is true, then stamp it.",
                {"current": list(current)},
                "stamp",
            )
        ]
    origin = _origin(project, chain, current)
    if pending:
        some = "1 revision is" if len(pending) == 1 else f"{len(pending)} revisions are"
        return [
            Finding(
                "behind",
                "warning",
                f"{some} pending: the current revision is {_spoken(current)}, the head {_spoken(chain.heads)}."
                + (_left_by(origin) if origin is not None else ""),
                {
                    "pending": list(pending),
                    "current": list(current),
                    "heads": list(chain.heads),
                    **_release_facts(origin),
                },
                "migrate",
            )
        ]
    return [
        Finding(
            "up-to-date",
            "ok",
            f"The current revision is the head, {_spoken(current)}." + (_runs_on(origin) if origin is not None else ""),
            {"current": list(current), **_release_facts(origin)},
        )
    ]


def _origin(project: Project, chain: Chain, current: tuple[str, ...]) -> Origin | None:
    """Where the current revision stands among Mage's releases; None where it is none of theirs, or nothing is known of it."""
    if project.kind != "mage" or len(current) != 1:
        return None
    origin = origin_of(current[0], chain, project.version)
    return origin if origin.first is not None else None


def _release_facts(origin: Origin | None) -> dict[str, Any]:
    if origin is None:
        return {}
    return {
        "releases": origin.release_range,
        "first_release": origin.first,
        "running": origin.running,
        "pin": origin.pin,
    }


def _left_by(origin: Origin) -> str:
    """Of a database that is behind: which Mage left it so, and how to run that one instead of migrating."""
    runs = f"; you run {origin.running}" if origin.running else ""
    if origin.release_range:
        return f" It was written by {origin.release_range}{runs}. To run that again instead: '{origin.command}'."
    return (
        f" No release of Mage stopped there: mage-ai {origin.first} is the first that has it{runs}. The least is "
        f"migrated by '{origin.command}'."
    )


def _runs_on(origin: Origin) -> str:
    """Of a database at the head: which Mage runs on it without migrating."""
    runs = f"; you run {origin.running}" if origin.running else ""
    return f" It belongs to {origin.release_range}{runs}." if origin.release_range else ""


def _unknown_finding(project: Project, chain: Chain, unknown: str) -> Finding:
    origin = origin_of(unknown, chain, project.version) if project.kind == "mage" else None
    ours = project.name if project.kind == "mage" else f"the project {project.name}"
    return Finding(
        "unknown-revision",
        "critical",
        f"The database is at revision {unknown}, which the chain of {ours} does not have ({len(chain.revisions)} "
        f"revisions). {_belongs(origin, chain)}",
        {"current": unknown, "releases": None, "head": list(chain.heads), **_release_facts(origin)},
        "evidence" if origin is not None and origin.ahead else "stamp",
    )


def _belongs(origin: Origin | None, chain: Chain) -> str:
    """Whose revision it is that the chain does not have, and the ways out of that."""
    stamp = "If the schema matches a known revision, 'stamp' can replace the current revision."
    if origin is None:
        return f"Another version of the project may have it: look in its other branches and releases. {stamp}"
    if origin.release_range is None:
        return (
            f"No release of Mage up to {releases()[-1].version}, the newest known here, has it as its head: a newer "
            f"one may, or a version of somebody's own. {stamp}"
        )
    runs = f"; you run {origin.running}" if origin.running else ""
    written = f"It was written by {origin.release_range}{runs}."
    if origin.ahead and len(chain.heads) == 1:
        return (
            f"{written} The database is ahead of your Mage. Run that release again: '{origin.command}'. Or, with that "
            f"release installed, roll back first: 'magetui rollback --revision {chain.heads[0]}'."
        )
    return f"{written} Run that release again: '{origin.command}'. {stamp}"


def _server_findings(state: DatabaseState, *, to_do: bool) -> list[Finding]:
    found: list[Finding] = []
    server = state.server
    if server.experimental is not None:
        found.append(Finding("experimental", "info", server.experimental))
    if server.hidden is not None:
        found.append(Finding("sessions-hidden", "info", server.hidden))
    if server.read_only is not None:
        found.append(
            Finding(
                "server-read-only",
                "warning" if to_do else "info",
                f"{server.read_only} Nothing can be migrated here.",
                {"reason": server.read_only},
                "connect",
            )
        )
    if state.not_owned:
        owners = sorted({table.owner for table in state.not_owned if table.owner})
        tables = _some([t.name for t in state.not_owned])
        found.append(
            Finding(
                "not-owner",
                "warning" if to_do else "info",
                f"The role {server.user} does not own {tables} (owner: {', '.join(owners)}), and only an owner may "
                "alter a table."
                if owners
                else f"The role {server.user} may not alter {tables}.",
                {"tables": [t.name for t in state.not_owned], "owners": owners},
                "connect",
            )
        )
    return found


def _session_findings(state: DatabaseState, *, to_do: bool) -> list[Finding]:
    found: list[Finding] = []
    holder = state.mutex
    if holder is not None:
        found.append(
            Finding(
                "migration-running",
                "warning",
                f"{_migrating(holder)} A run of ours would wait for it."
                + (LEFT_LOCK if state.server.pooler is not None and not state.server.pooler.keeps_sessions else ""),
                {"pid": holder.pid, "since": holder.since},
                "runs" if _run_of(holder) else "locks",
            )
        )
    severity: Severity = "warning" if to_do else "info"
    ours = {holder.pid} if holder is not None else set()
    holding = [s for s in state.sessions if s.holds and s.pid not in ours]
    idle = [s for s in holding if (s.state or "").startswith("idle in transaction")]
    # 'open' on SQLite in WAL mode: a connection that neither reads nor writes.
    working = [s for s in holding if s not in idle and s.state != "open"]
    busy = [s for s in working if s.transaction_ms is None or s.transaction_ms >= LONG_TRANSACTION_MS or s.blocked_by]
    for code, sessions, doing in (
        ("idle-in-transaction", idle, "idle in a transaction that is open"),
        ("blocking-sessions", busy, "at work in a transaction"),
    ):
        if sessions:
            found.append(
                Finding(
                    code,
                    severity,
                    f"{_count(sessions)} {doing}, with locks on {_some(_relations(sessions))}. "
                    "A migration that alters those would wait for it.",
                    {"pids": [s.pid for s in sessions], "relations": _relations(sessions)},
                    "locks",
                )
            )
    return found


def _run_of(holder: MutexHolder) -> str | None:
    """The number of the run that migrates, where it is one of this program's."""
    written = (holder.note or (holder.session.application if holder.session else None)) or ""
    found = OWN_RUN.match(written)
    return found[1] if found else None


def _migrating(holder: MutexHolder) -> str:
    run = _run_of(holder)
    who = f"Run {run} of magetui" if run else "Somebody"
    return f"{who} is migrating this database now: {holder.described()}."


def _count(sessions: list[Session]) -> str:
    # SQLite has no server and so no sessions: there it is a process, which reads or writes the file.
    kind = "process" if sessions[0].state in ("reading", "writing") else "session"
    if len(sessions) == 1:
        return f"{kind.capitalize()} {sessions[0].pid} ({sessions[0].application or 'no name'}) is"
    return f"{len(sessions)} {kind}{'es' if kind == 'process' else 's'} are"


def _relations(sessions: list[Session]) -> list[str]:
    return sorted({held.relation for session in sessions for held in session.holds})


def _some(names: list[str]) -> str:
    """'a, b' or 'a, b, c, d, e and 7 more'."""
    shown = ", ".join(names[:NAMED_AT_MOST])
    return shown if len(names) <= NAMED_AT_MOST else f"{shown} and {len(names) - NAMED_AT_MOST} more"


def _spoken(revisions: tuple[str, ...] | None) -> str:
    return ", ".join(revisions) if revisions else "nothing"
