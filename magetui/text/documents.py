"""The JSON documents: PRODUCT's stable keys, made from the engine's results and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from magetui.engine.backup import Backup
from magetui.engine.diagnosis.diagnosis import Diagnosis
from magetui.engine.preview.preview import Preview, TableEffect
from magetui.engine.revisions.graph import Chain
from magetui.engine.runs.record import RunRecord
from magetui.model.plan import Plan, PlanStep
from magetui.model.schema import Table, TableDetail
from magetui.model.sessions import Session

if TYPE_CHECKING:
    from magetui.engine.evidence.evidence import Evidence
    from magetui.engine.verify import Verification
    from magetui.text.evidence import Conclusion
    from magetui.text.verification import Verdict

Document = dict[str, Any]


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


def evidence_document(chain: Chain, evidence: Evidence, found: Conclusion) -> Document:
    """`fits` and `loosely` are lists of current revisions, each a list of revisions; the empty one is base."""
    half = evidence.half
    return {
        "conclusion": list(found.sentences),
        "next": found.command,
        "current": list(found.current),
        "current_matches": found.current_matches,
        "fits": [list(current) for current in evidence.fits],
        "loosely": [list(current) for current in evidence.loosely],
        "half": None if half is None else {"revision": half.revision, "direction": half.direction},
        "nearest": None if evidence.nearest is None else list(evidence.nearest),
        "details": [{"state": state, "message": text} for state, text in found.details],
        "revisions": [{**asdict(one), "message": chain.by_id[one.revision].message} for one in found.revisions],
    }


def verification_document(found: Verification, verdict: Verdict) -> Document:
    """`place`: memory, schema or apart (then with `scratch`, a redacted URL); `chosen`: named, current revision or evidence."""
    rehearsal = found.plan
    return {
        "conclusion": list(verdict.sentences),
        "equal": found.equal,
        "revisions": list(rehearsal.revisions),
        "chosen": rehearsal.chosen,
        "place": rehearsal.mode,
        "scratch": rehearsal.scratch,
        "server_version": found.server,
        "tables": found.tables,
        "differences": [{"state": state, "message": text} for state, text in verdict.details],
        "beside": list(verdict.beside),
        "unread": sorted({fact.table for fact in found.unread}),
        "elapsed_ms": found.elapsed_ms,
    }


def sessions_document(sessions: Sequence[Session]) -> Document:
    return {"sessions": [asdict(session) for session in sessions]}


def plan_document(plan: Plan, steps: Sequence[PlanStep], preview: Preview) -> Document:
    return {
        "verb": plan.verb,
        "from": list(plan.current),
        "to": plan.target,
        "creates_schema": plan.creates_schema,
        "forbidden": plan.forbidden,
        "doubt": preview.doubt,
        "fails": list(preview.fails),
        "steps": [
            {
                **asdict(step),
                "undecidable": seen.undecidable if seen is not None else None,
                "warnings": list(seen.warnings) if seen is not None else [],
                "locks": [_effect(one) for one in seen.effects] if seen is not None else [],
            }
            for step, seen in zip_longest(steps, preview.steps)
        ],
        "losses": [asdict(loss) for loss in preview.losses.known],
        "undecidable_losses": list(preview.losses.undecidable),
    }


def _effect(one: TableEffect) -> Document:
    return {**asdict(one.effect), "rows": one.rows, "bytes": one.bytes, "holders": list(one.holders)}


def run_document(record: RunRecord) -> Document:
    return {
        "run": record.run,
        "verb": record.verb,
        "target": record.target,
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
    """The document of a changing verb that found nothing to do."""
    current = list(plan.current)
    return {
        "run": None,
        "verb": plan.verb,
        "target": plan.target,
        "outcome": "done",
        "current_before": current,
        "current_after": current,
        "steps": [],
        "blockers": [],
        "error": None,
        "elapsed_ms": 0,
    }


def backup_document(made: Backup) -> Document:
    return {
        "file": str(made.file),
        "bytes": made.bytes,
        "elapsed_ms": made.elapsed_ms,
        "restore": made.restore,
        "database": made.database,
    }


def runs_document(records: Sequence[RunRecord]) -> Document:
    return {"runs": [run_document(record) for record in records]}
