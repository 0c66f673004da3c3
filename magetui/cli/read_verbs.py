"""The verbs that read: each asks the engine once, prints, and returns its exit status."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from magetui.cli.consent import consent
from magetui.cli.output import answer, complain, print_lines
from magetui.cli.run_follower import followed, told_lost
from magetui.config import Settings
from magetui.config.targets import named_target
from magetui.engine.diagnosis.diagnosis import add_evidence, diagnose
from magetui.engine.errors import RefusedError, UsageError
from magetui.engine.plan import make_plan, render_plan
from magetui.engine.preview.preview import preview_plan
from magetui.engine.runs import follow
from magetui.engine.schema.introspect import describe_table, list_tables
from magetui.engine.schema.snapshot import read_state
from magetui.engine.sessions import listing, signals
from magetui.engine.workspace import Workspace
from magetui.model.plan import Plan, SignalAction
from magetui.text import documents, formats

INTERRUPTED = 130


def _diagnose(settings: Settings, _values: Mapping[str, Any]) -> int:
    workspace = Workspace(settings.selection)
    diagnosis = add_evidence(workspace, diagnose(workspace))
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


def _evidence(settings: Settings, _values: Mapping[str, Any]) -> int:
    from magetui.engine.evidence.evidence import gather_evidence  # starts a child, and loads what only it needs
    from magetui.text.evidence import conclude

    workspace = Workspace(settings.selection)
    project, chain = workspace.project, workspace.chain
    complain("reading the scripts and the schema …")
    evidence = gather_evidence(workspace)
    table = read_state(workspace, project).version_table
    found = conclude(chain, evidence, table, workspace.target.clean)
    answer(
        settings,
        lambda: documents.evidence_document(chain, evidence, found),
        lambda text: text.evidence(chain, found),
    )
    return 0


def _locks(settings: Settings, values: Mapping[str, Any]) -> int:
    workspace = Workspace(settings.selection)
    if values.get("cancel") is not None and values.get("terminate") is not None:
        raise UsageError("'locks' takes one of --cancel and --terminate.")
    if values.get("terminate") is not None:
        return _signal(settings, values, workspace, "terminate")
    if values.get("cancel") is not None:
        return _signal(settings, values, workspace, "cancel")
    sessions = listing.list_sessions(workspace)
    answer(settings, lambda: documents.sessions_document(sessions), lambda text: text.sessions(sessions))
    if (unseen := listing.visibility_problem(workspace)) is not None:
        complain(unseen)
    return 0


def _signal(settings: Settings, values: Mapping[str, Any], workspace: Workspace, action: SignalAction) -> int:
    """Cancel or end a session, on consent; 1 where it is read back that it goes on."""
    from magetui.text.terminal import wrapped

    session = listing.find_session(workspace, values[action])
    refusal = signals.objection(workspace, session, action)
    if refusal is not None:
        raise RefusedError(refusal)
    complain(formats.session_line(session))
    if session.query:
        complain(f"  {formats.one_line(session.query, 100)}")
    for line in wrapped(signals.consequences(session, action), 78):
        complain(line)
    named = named_target(settings.targets, settings.selection, workspace.target.redacted)
    where = f" It is on {named.called}." if named is not None and named.production else ""
    consent(values, f"{'End this session?' if action == 'terminate' else 'Cancel its query?'}{where}")
    done = (signals.end_session if action == "terminate" else signals.cancel_query)(workspace, session)
    document = {"action": action, "session": asdict(done.session), "settled": done.settled, "message": done.message}
    answer(settings, lambda: document, lambda _text: [done.message])
    return 1 if done.settled is False else 0


def _plan(settings: Settings, values: Mapping[str, Any]) -> int:
    name = values["verb"]
    revision = values.get("r") if name == "stamp" else values.get("revision") or values.get("r")
    workspace = Workspace(settings.selection)
    plan = make_plan(workspace, name, revision, values.get("replace_unknown_revision"), values.get("in_doubt"))
    show_plan(settings, workspace, plan)
    return 0


def _runs(settings: Settings, values: Mapping[str, Any]) -> int:
    number = values.get("id")
    for flag in ("cancel", "report"):
        if values.get(flag) and number is None:
            raise UsageError(f"'runs --{flag}' wants the run's number.")
    if number is None:
        records = follow.list_runs(os.environ)
        answer(settings, lambda: documents.runs_document(records), lambda text: text.runs(records))
        return 0
    if values.get("cancel"):
        asked = follow.cancel_run(os.environ, number)
        complain(f"Run {number} was asked to stop." if asked else f"Run {number} has ended already.")
    record = follow.read_run(os.environ, number)
    if record.alive:
        try:
            record = followed(follow.follow_run(os.environ, number))
        except KeyboardInterrupt:
            complain(f"no longer following; run {number} goes on")
            return INTERRUPTED
    if record.outcome == "lost":
        record = told_lost(settings, record)
    if values.get("report") and not settings.json:
        from magetui.text.run_report import report

        print_lines(report(record, follow.read_events(os.environ, number)))
        return 0
    answer(settings, lambda: documents.run_document(record), lambda text: text.run(record))
    return 0


def show_plan(settings: Settings, workspace: Workspace, plan: Plan) -> None:
    steps = render_plan(workspace, plan) if plan.steps else ()
    preview = preview_plan(workspace, plan)
    answer(
        settings, lambda: documents.plan_document(plan, steps, preview), lambda text: text.plan(plan, steps, preview)
    )


HANDLERS: Mapping[str, Callable[[Settings, Mapping[str, Any]], int]] = {
    "diagnose": _diagnose,
    "history": _history,
    "schema": _schema,
    "evidence": _evidence,
    "locks": _locks,
    "plan": _plan,
    "runs": _runs,
}
