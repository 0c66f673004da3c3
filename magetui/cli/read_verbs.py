"""The verbs that read, and `verify`, which rolls back what it writes.

Each asks the engine once, prints the answer and returns the exit status. Each imports what it needs, since many
operators wait for `diagnose` and `history`, and these need little.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from magetui.cli.output import answer, complain, complain_wrapped, print_lines, require_consent
from magetui.cli.workspaces import open_workspace
from magetui.engine.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.engine.schema.snapshot import Reading
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import Plan, SignalAction

INTERRUPTED = 130


def _diagnose(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.diagnosis.diagnosis import add_evidence, diagnose
    from magetui.engine.schema.snapshot import open_reading

    is_many, seconds = values["all"] or values["schemas"] is not None, values["wait"]
    if (is_many and seconds is not None) or (values["all"] and values["schemas"] is not None):
        raise UsageError("'diagnose' takes one of --all, --schemas and --wait.")
    if is_many:
        from magetui.cli.many_verb import diagnose_many

        return diagnose_many(settings, values)
    if seconds is not None:
        from magetui.cli.waiting import behind_head, wait_for

        wait_for(settings, behind_head, seconds)
    with open_reading(open_workspace(settings)) as reading:
        diagnosis = add_evidence(reading, diagnose(reading))
    answer(settings, lambda: asdict(diagnosis), lambda text: text.diagnosis(diagnosis))
    is_ready = diagnosis.healthy if seconds is None else behind_head(diagnosis) is None
    return 0 if is_ready else 3


def _history(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.text import documents

    chain = open_workspace(settings).chain
    answer(settings, lambda: documents.history_document(chain), lambda text: text.history(chain, graph=values["graph"]))
    return 1 if chain.broken else 0


def _schema(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.schema.introspect import describe_table, list_tables
    from magetui.text import documents

    workspace, schema = open_workspace(settings), values.get("schema")
    if values.get("table"):
        details = describe_table(workspace, values["table"], schema)
        answer(settings, lambda: documents.details_document(details), lambda text: text.details(details))
    else:
        tables = list_tables(workspace, schema)
        answer(settings, lambda: {"tables": [*map(asdict, tables)]}, lambda text: text.tables(tables))
    return 0


def _evidence(settings: Settings, _values: Mapping[str, Any]) -> int:
    from magetui.engine.evidence.evidence import gather_evidence
    from magetui.engine.schema.snapshot import open_reading
    from magetui.text import documents
    from magetui.text.evidence import conclude

    workspace = open_workspace(settings)
    chain = workspace.chain
    complain("reading the scripts and the schema …")
    with open_reading(workspace) as reading:
        evidence = gather_evidence(reading)
        table = reading.overview.version_table
    conclusion = conclude(chain, evidence, table, workspace.target.clean)
    answer(
        settings,
        lambda: documents.evidence_document(chain, evidence, conclusion),
        lambda text: text.evidence(chain, conclusion),
    )
    return 0


def _verify(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.verify import plan_replay, verify
    from magetui.text import documents
    from magetui.text.consent import Consent
    from magetui.text.verification import announced, judge

    workspace = open_workspace(settings)
    chain = workspace.chain
    rehearsal = plan_replay(workspace, values.get("r"))
    for sentence in announced(chain, rehearsal, workspace.clean):
        complain_wrapped(sentence)
    if rehearsal.needs_consent:
        require_consent(values, Consent())
    verification = verify(workspace, rehearsal)
    verdict = judge(chain, verification, workspace.clean)
    answer(
        settings,
        lambda: documents.verification_document(verification, verdict),
        lambda text: text.verification(verdict),
    )
    return 0 if verification.equal else 3


def _check(settings: Settings, _values: Mapping[str, Any]) -> int:
    from magetui.engine.model_check import check_models
    from magetui.text import documents

    workspace = open_workspace(settings)
    complain("running env.py on connections that cannot write …")
    checked = check_models(workspace)
    answer(settings, lambda: documents.check_document(checked), lambda text: text.model_check(checked))
    return 0 if checked.equal else 3


def _locks(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.sessions.listing import list_sessions, visibility_problem

    workspace = open_workspace(settings)
    if values.get("cancel") is not None and values.get("terminate") is not None:
        raise UsageError("'locks' takes --cancel or --terminate, not both.")
    if values.get("terminate") is not None:
        return _signal(settings, values, workspace, "terminate")
    if values.get("cancel") is not None:
        return _signal(settings, values, workspace, "cancel")
    sessions = list_sessions(workspace)
    answer(settings, lambda: {"sessions": [*map(asdict, sessions)]}, lambda text: text.sessions(sessions))
    if (hidden := visibility_problem(workspace)) is not None:
        complain(hidden)
    return 0


def _signal(settings: Settings, values: Mapping[str, Any], workspace: Workspace, action: SignalAction) -> int:
    """Cancel the query of a session, or end the session, after consent. Returns 1 if the session continues."""
    from magetui.config.targets import named_target
    from magetui.engine.sessions.listing import find_session
    from magetui.engine.sessions.signals import objection, signal_session
    from magetui.text import documents, formats
    from magetui.text.consent import signal_consent, signal_losses

    session = find_session(workspace, values[action])
    if (refusal := objection(workspace, session, action)) is not None:
        raise RefusedError(refusal)
    complain(formats.session_line(session))
    for sentence in signal_losses(session, action):
        complain_wrapped(formats.plain(sentence))
    named = named_target(settings.targets, settings.selection, workspace.target.redacted)
    require_consent(values, signal_consent(action, session, named))
    signalled = signal_session(workspace, session, action)
    answer(settings, lambda: documents.signal_document(signalled), lambda _text: [signalled.message])
    return 1 if signalled.settled is False else 0


def _plan(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.plan import make_plan
    from magetui.engine.preview.preview import ask_scripts
    from magetui.engine.schema.snapshot import open_reading

    name = values["verb"]
    revision = values.get("r") if name == "stamp" else values.get("revision") or values.get("r")
    workspace = open_workspace(settings)
    ask_scripts(workspace)
    with open_reading(workspace) as reading:
        plan = make_plan(reading, name, revision, values.get("replace_unknown_revision"), values.get("in_doubt"))
        show_plan(settings, reading, plan)
    return 0


def _runs(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.runs import follow
    from magetui.text import documents

    number = values.get("id")
    if values.get("prune"):
        return _prune(settings, number)
    for flag in ("cancel", "report"):
        if values.get(flag) and number is None:
            raise UsageError(f"'runs --{flag}' needs the number of a run.")
    if number is None:
        found = follow.list_runs(os.environ)
        for sentence in found.skipped:
            complain(sentence)
        answer(
            settings,
            lambda: {"runs": [*map(documents.run_document, found.records)], "skipped": found.skipped},
            lambda text: text.runs(found.records),
        )
        return 0
    if values.get("cancel"):
        from magetui.engine.runs.cancel import cancel_run

        asked = cancel_run(os.environ, number)
        complain(f"Run {number} was asked to stop." if asked else f"Run {number} has already ended.")
    record = follow.read_run(os.environ, number)
    if record.alive:
        from magetui.cli.run_follower import followed

        try:
            record = followed(number)
        except KeyboardInterrupt:
            complain(f"no longer following run {number}; the run continues")
            return INTERRUPTED
    if record.outcome == "lost":
        from magetui.cli.run_follower import read_lost

        record = read_lost(settings, record)
    if values.get("report") and not settings.json:
        from magetui.text.run_report import report

        print_lines(report(record, follow.read_events(os.environ, number)))
        return 0
    answer(settings, lambda: documents.run_document(record), lambda text: text.run(record))
    return 0


def _prune(settings: Settings, number: int | None) -> int:
    from magetui.engine.runs.retention import prune
    from magetui.text import formats

    if number is not None:
        raise UsageError("'runs --prune' deletes the oldest records, and takes no number of a run.")
    pruned = prune(os.environ, settings.retention)
    answer(settings, lambda: {"pruned": asdict(pruned)}, lambda _text: [formats.pruned(pruned)])
    return 0


def show_plan(settings: Settings, reading: Reading, plan: Plan) -> None:
    from magetui.engine.plan import render_plan
    from magetui.engine.preview.preview import preview_plan
    from magetui.text import documents

    preview = preview_plan(reading, plan)
    steps = render_plan(reading, plan) if plan.steps else ()
    answer(
        settings, lambda: documents.plan_document(plan, steps, preview), lambda text: text.plan(plan, steps, preview)
    )


def _preflight(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.evidence.inspection import recorded_steps
    from magetui.engine.plan import make_plan
    from magetui.engine.preview.preflight.preflight import preflight
    from magetui.engine.schema.snapshot import open_reading
    from magetui.text import documents

    workspace = open_workspace(settings)
    with open_reading(workspace) as reading:
        plan = make_plan(reading, values.get("verb") or "migrate", values.get("revision"))
        found = preflight(reading, recorded_steps(reading, plan))
    answer(settings, lambda: documents.preflight_document(plan, found), lambda text: text.preflight(plan, found))
    return 3 if found is not None and found.answer == "fails" else 0


HANDLERS: Mapping[str, Callable[[Settings, Mapping[str, Any]], int]] = {
    "diagnose": _diagnose,
    "history": _history,
    "schema": _schema,
    "evidence": _evidence,
    "verify": _verify,
    "check": _check,
    "locks": _locks,
    "plan": _plan,
    "preflight": _preflight,
    "runs": _runs,
}
