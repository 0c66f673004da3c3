"""The JSON documents of the command line, whose keys are documented and stable.

Each function turns one result of the engine into a document. `as_json` writes every document, so the number of the
format is in this one place. A change that breaks a reader of the documents raises the number; a new key does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magetui.engine.backup import Backup
    from magetui.engine.demo.demo import Demo
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.errors import MagetuiError
    from magetui.engine.evidence.verdict import Evidence
    from magetui.engine.preview.preview import Preview, TableEffect
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.sessions.signals import Signalled
    from magetui.engine.verify import Verification
    from magetui.model.plan import Plan, PlanStep
    from magetui.model.schema import Table, TableDetail
    from magetui.model.sessions import Session
    from magetui.text.evidence import Conclusion
    from magetui.text.verification import Verdict

FORMAT = 2  # format 1 had no number, and named the current revision otherwise
Document = dict[str, Any]


def as_json(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text, with the number of its format as the first key."""
    return json.dumps({"format": FORMAT, **document}, ensure_ascii=False, indent=1, default=str)


def error_document(error: MagetuiError) -> Document:
    return {"error": error.message, "status": error.status}


def diagnosis_document(diagnosis: Diagnosis) -> Document:
    return asdict(diagnosis)


def history_document(chain: Chain) -> Document:
    heads = set(chain.heads)
    return {
        "revisions": [
            {**asdict(revision), "path": str(revision.path), "head": revision.revision in heads}
            for revision in chain.revisions
        ],
        "problems": [
            {
                "code": problem.code,
                "message": problem.message,
                "files": [str(path) for path in problem.files],
                "revisions": list(problem.revisions),
            }
            for problem in chain.problems
        ],
    }


def tables_document(tables: Sequence[Table]) -> Document:
    return {"tables": [asdict(table) for table in tables]}


def details_document(details: Sequence[TableDetail]) -> Document:
    documents = []
    for detail in details:
        values = asdict(detail)
        documents.append({**values.pop("table"), **values})
    return {"tables": documents}


def evidence_document(chain: Chain, evidence: Evidence, conclusion: Conclusion) -> Document:
    """Return the document of `evidence`.

    `fits` and `loosely` are lists of candidates for the current revision. Each candidate is a list of revisions, and
    the empty list is base.
    """
    partial = evidence.partial
    return {
        "conclusion": list(conclusion.sentences),
        "next": conclusion.command,
        "current": list(conclusion.current),
        "current_matches": conclusion.current_matches,
        "fits": [list(current) for current in evidence.fits],
        "loosely": [list(current) for current in evidence.loosely],
        "half": None if partial is None else {"revision": partial.revision, "direction": partial.direction},
        "nearest": None if evidence.nearest is None else list(evidence.nearest),
        "details": [{"state": state, "message": text} for state, text in conclusion.details],
        "revisions": [
            {**asdict(revision), "message": chain.by_id[revision.revision].message} for revision in conclusion.revisions
        ],
    }


def verification_document(verification: Verification, verdict: Verdict) -> Document:
    """Return the document of `verify`.

    `place` is where the schema was built: `memory`, `schema` (a scratch schema) or `apart` (the scratch database
    `scratch`, a redacted URL). `chosen` is where the revision came from: `named`, `current` or `evidence`.
    """
    rehearsal = verification.plan
    return {
        "conclusion": list(verdict.sentences),
        "equal": verification.equal,
        "revisions": list(rehearsal.revisions),
        "chosen": rehearsal.chosen,
        "place": rehearsal.mode,
        "scratch": rehearsal.scratch,
        "server_version": verification.server,
        "tables": verification.tables,
        "differences": [{"state": state, "message": text} for state, text in verdict.details],
        "beside": list(verdict.beside),
        "unread": sorted({fact.table for fact in verification.unread}),
        "elapsed_ms": verification.elapsed_ms,
    }


def sessions_document(sessions: Sequence[Session]) -> Document:
    return {"sessions": [asdict(session) for session in sessions]}


def plan_document(plan: Plan, steps: Sequence[PlanStep], preview: Preview) -> Document:
    return {
        "verb": plan.verb,
        "from": list(plan.current),
        "to": plan.target_revision,
        "creates_schema": plan.creates_schema,
        "forbidden": plan.forbidden,
        "doubt": preview.doubt,
        "fails": list(preview.fails),
        "steps": [
            {
                **asdict(step),
                "undecidable": previewed.undecidable if previewed is not None else None,
                "warnings": list(previewed.warnings) if previewed is not None else [],
                "locks": [_lock(effect) for effect in previewed.effects] if previewed is not None else [],
            }
            for step, previewed in zip_longest(steps, preview.steps)
        ],
        "losses": [asdict(loss) for loss in preview.losses.known],
        "undecidable_losses": list(preview.losses.undecidable),
    }


def _lock(effect: TableEffect) -> Document:
    forecast = effect.effect
    mode = "" if forecast.mode is None else forecast.mode.pg_locks
    sizes = {"rows": effect.rows, "bytes": effect.bytes, "holders": list(effect.holders)}
    return {**asdict(forecast), "mode": mode, **sizes}


def run_document(record: RunRecord) -> Document:
    return {
        "run": record.run,
        "verb": record.verb,
        "target": record.target_revision,
        "outcome": None if record.outcome == "running" else record.outcome,
        "current_before": list(record.current_before),
        "current_after": None if record.current_after is None else list(record.current_after),
        "session": record.session,
        "session_left": record.session_left,
        "current_now": None if record.current_now is None else list(record.current_now),
        "steps": [asdict(step) for step in record.steps],
        "attempts": [asdict(attempt) for attempt in record.attempts],
        "signals": [asdict(signal) for signal in record.signals],
        "blockers": [asdict(session) for session in record.blockers],
        "error": record.error,
        "where": record.where,
        "unchanged": record.unchanged,
        "elapsed_ms": record.elapsed_ms,
        "started": record.started,
        "ended": record.ended,
        "user": record.user,
        "host": record.host,
        "alive": record.alive,
        "database": record.database,
    }


def nothing_done_document(plan: Plan) -> Document:
    """Return the document of a changing verb that has nothing to do: a run without a number."""
    current = list(plan.current)
    return {
        "run": None,
        "verb": plan.verb,
        "target": plan.target_revision,
        "outcome": "done",
        "current_before": current,
        "current_after": current,
        "steps": [],
        "blockers": [],
        "error": None,
        "elapsed_ms": 0,
    }


def backup_document(backup: Backup) -> Document:
    return {
        "file": str(backup.file),
        "bytes": backup.bytes,
        "elapsed_ms": backup.elapsed_ms,
        "restore": backup.restore,
        "database": backup.database,
    }


def runs_document(records: Sequence[RunRecord]) -> Document:
    return {"runs": [run_document(record) for record in records]}


def signal_document(signalled: Signalled) -> Document:
    return {
        "action": signalled.action,
        "session": asdict(signalled.session),
        "settled": signalled.settled,
        "message": signalled.message,
    }


def demo_document(demo: Demo, commands: Sequence[str]) -> Document:
    return {
        "scenario": demo.scenario,
        "folder": str(demo.folder),
        "config": str(demo.config),
        "database": str(demo.database),
        "state_home": str(demo.state_home),
        "holder": demo.holder_pid,
        "story": demo.story,
        "commands": list(commands),
    }
