"""Findings about other sessions: who migrates, who holds the migration lock, and who would block a migration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from magetui.engine.diagnosis.finding import Finding, Severity, some
from magetui.engine.sessions.listing import OWN_RUN
from magetui.model.sessions import MutexHolder, Session, is_migrator

if TYPE_CHECKING:
    from magetui.engine.project.project import Project
    from magetui.engine.schema.snapshot import Overview

LONG_TRANSACTION_MS = 1_000
LEFT_LOCK = (
    " Or nobody is: a migration through the pooler leaves this lock on a session of the server. If nobody migrates, "
    "end that session with 'magetui locks': that releases the lock."
)


def migrator_findings(project: Project, overview: Overview) -> Iterator[Finding]:
    """Yield a finding for a session that migrates without the migration lock, as a plain `alembic upgrade` does."""
    for session in overview.sessions:
        if not is_migrator(session, project.scripts.version_table):
            continue
        if overview.mutex is not None and session.pid == overview.mutex.pid:
            continue
        relations = sorted({held.relation for held in session.holds})
        yield Finding(
            "other-migrator",
            "warning",
            f"Session {session.pid} ({session.application or 'no name'}) is migrating this database without the "
            f"migration lock, as a plain 'alembic upgrade' does: it holds locks on {some(relations)}. A run waits for "
            "it.",
            {"pid": session.pid, "relations": relations},
            "locks",
        )


def session_findings(project: Project, overview: Overview, obstacle: Severity) -> Iterator[Finding]:
    holder, pooler = overview.mutex, overview.server.pooler
    if holder is not None:
        own_run = OWN_RUN.match((holder.note or (holder.session.application if holder.session else None)) or "")
        who = f"Run {own_run[1]} of magetui" if own_run else "Somebody"
        left = LEFT_LOCK if pooler is not None and not pooler.keeps_sessions else ""
        others = (s for s in overview.sessions if s.pid != holder.pid)
        runs = bool(own_run) or any(is_migrator(session, project.scripts.version_table) for session in others)
        doing = None if runs else _idling(holder)
        yield Finding(
            "migration-running" if doing is None else "migration-lock-held",
            "warning",
            f"{doing or f'{who} is migrating this database now: {holder.described()}.'} A run would wait for it, up to "
            f"its lock timeout.{left}",
            {"pid": holder.pid, "since": holder.since},
            "runs" if own_run else "locks",
        )
    holding = [s for s in overview.sessions if s.holds and (holder is None or s.pid != holder.pid)]
    idle = [s for s in holding if (s.state or "").startswith("idle in transaction")]
    # 'open' is SQLite's state in WAL mode of a connection that neither reads nor writes.
    working = [s for s in holding if s not in idle and s.state != "open"]
    is_seen = all(session.state is not None for session in working)  # a role without rights sees no state
    busy = [s for s in working if s.transaction_ms is None or s.transaction_ms >= LONG_TRANSACTION_MS or s.blocked_by]
    are_processes = any(session.is_process for session in busy)  # which may also be asleep
    at_work = "at work " if is_seen and not are_processes else ""
    for code, sessions, doing in (
        ("idle-in-transaction", idle, "idle in an open transaction"),
        ("blocking-sessions", busy, f"{at_work}in a transaction"),
    ):
        if sessions:
            relations = sorted({held.relation for session in sessions for held in session.holds})
            yield Finding(
                code,
                obstacle,
                f"{_count(sessions)} {doing}, with locks on {some(relations)}. A migration that alters those would "
                "wait for it.",
                {"pids": [s.pid for s in sessions], "relations": relations},
                "locks",
            )


def _idling(holder: MutexHolder) -> str | None:
    """Return that the holder of the migration lock only idles, or None. Somebody may have forgotten its session."""
    session = holder.session
    if session is None or not (session.state or "").startswith("idle") or session.holds:
        return None
    return (
        f"The migration lock is held by {holder.described()}, which is {session.state} and has no table locked: "
        "a migration that has not begun, or a session that somebody forgot and that has to be ended."
    )


def _count(sessions: list[Session]) -> str:
    # SQLite has no server, so it has no sessions: a process reads or writes the file.
    kind = "process" if sessions[0].is_process else "session"
    if len(sessions) == 1:
        return f"{kind.capitalize()} {sessions[0].pid} ({sessions[0].application or 'no name'}) is"
    return f"{len(sessions)} {kind}{'es' if kind == 'process' else 's'} are"
