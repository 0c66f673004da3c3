"""The verbs that read: each asks the engine once, prints, and returns its exit status."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from magetui import documents, words
from magetui.cli.consent import consent
from magetui.cli.following import followed, told_lost
from magetui.cli.output import answer, complain
from magetui.config import Settings
from magetui.engine import locks, runs
from magetui.engine.diagnosis import diagnose
from magetui.engine.errors import RefusedError, UsageError
from magetui.engine.plan import Plan, make_plan, render_plan
from magetui.engine.schema import describe_table, list_tables
from magetui.engine.workspace import Workspace

INTERRUPTED = 130


def _diagnose(settings: Settings, _values: Mapping[str, Any]) -> int:
    diagnosis = diagnose(Workspace(settings.selection))
    answer(settings, lambda: documents.diagnosis_document(diagnosis), lambda text: text.diagnosis(diagnosis))
    return 0 if diagnosis.healthy else 3


def _history(settings: Settings, _values: Mapping[str, Any]) -> int:
    chain = Workspace(settings.selection).chain
    answer(settings, lambda: documents.history_document(chain), lambda text: text.history(chain))
    return 1 if chain.broken else 0


def _schema(settings: Settings, values: Mapping[str, Any]) -> int:
    workspace, schema = Workspace(settings.selection), values.get("schema")
    if values.get("table"):
        details = describe_table(workspace, values["table"], schema)
        answer(settings, lambda: documents.details_document(details), lambda text: text.details(details))
    else:
        tables = list_tables(workspace, schema)
        answer(settings, lambda: documents.tables_document(tables), lambda text: text.tables(tables))
    return 0


def _locks(settings: Settings, values: Mapping[str, Any]) -> int:
    workspace = Workspace(settings.selection)
    sessions = locks.list_sessions(workspace)
    pid = values.get("terminate") or values.get("cancel")
    if pid is None:
        answer(settings, lambda: documents.sessions_document(sessions), lambda text: text.sessions(sessions))
        return 0
    session = next((s for s in sessions if s.pid == pid), None)
    if session is None:
        raise RefusedError(f"There is no session {pid} in this database.")
    ending = bool(values.get("terminate"))
    complain(words.session_line(session))
    if session.query:
        complain(f"  {words.one_line(session.query, 100)}")
    loss = "End this session? What it has not committed is rolled back." if ending else "Cancel what this session runs?"
    consent(values, loss)
    (locks.end_session if ending else locks.end_query)(workspace, pid)
    complain(f"Session {pid} was {'ended' if ending else 'asked to cancel its query'}.")
    return 0


def _plan(settings: Settings, values: Mapping[str, Any]) -> int:
    name = values["verb"]
    revision = values.get("r") if name == "stamp" else values.get("revision") or values.get("r")
    workspace = Workspace(settings.selection)
    plan = make_plan(workspace, name, revision, values.get("replace_unknown_revision"))
    show_plan(settings, workspace, plan)
    return 0


def _runs(settings: Settings, values: Mapping[str, Any]) -> int:
    number = values.get("id")
    if values.get("cancel") and number is None:
        raise UsageError("'runs --cancel' wants the run's number.")
    if number is None:
        records = runs.list_runs(os.environ)
        answer(settings, lambda: documents.runs_document(records), lambda text: text.runs(records))
        return 0
    if values.get("cancel") and runs.cancel(os.environ, number):
        complain(f"Run {number} was asked to stop.")
    record = runs.read_run(os.environ, number)
    if record.alive:
        try:
            record = followed(runs.follow(os.environ, number))
        except KeyboardInterrupt:
            complain(f"no longer following; run {number} goes on")
            return INTERRUPTED
    if record.outcome == "lost":
        record = told_lost(settings, record)
    answer(settings, lambda: documents.run_document(record), lambda text: text.run(record))
    return 0


def show_plan(settings: Settings, workspace: Workspace, plan: Plan) -> None:
    steps = render_plan(workspace, plan) if plan.steps else ()
    answer(settings, lambda: documents.plan_document(plan, steps), lambda text: text.plan(plan, steps))


HANDLERS: Mapping[str, Callable[[Settings, Mapping[str, Any]], int]] = {
    "diagnose": _diagnose,
    "history": _history,
    "schema": _schema,
    "locks": _locks,
    "plan": _plan,
    "runs": _runs,
}
