"""The JSON documents: PRODUCT's stable keys, made from the engine's results and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from magetui.backends.base import Session, Table, TableDetail
from magetui.engine.chain import Chain
from magetui.engine.diagnosis import Diagnosis
from magetui.engine.plan import Plan, PlanStep
from magetui.engine.runs import RunRecord

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


def sessions_document(sessions: Sequence[Session]) -> Document:
    return {"sessions": [asdict(session) for session in sessions]}


def plan_document(plan: Plan, steps: Sequence[PlanStep]) -> Document:
    return {
        "verb": plan.verb,
        "from": list(plan.marker),
        "to": plan.target,
        "steps": [asdict(step) for step in steps],
    }


def run_document(record: RunRecord) -> Document:
    return {
        "run": record.run,
        "verb": record.verb,
        "target": record.target,
        "outcome": None if record.outcome == "running" else record.outcome,
        "marker_before": list(record.marker_before),
        "marker_after": None if record.marker_after is None else list(record.marker_after),
        "steps": [asdict(step) for step in record.steps],
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
    marker = list(plan.marker)
    return {
        "run": None,
        "verb": plan.verb,
        "target": plan.target,
        "outcome": "done",
        "marker_before": marker,
        "marker_after": marker,
        "steps": [],
        "blockers": [],
        "error": None,
        "elapsed_ms": 0,
    }


def runs_document(records: Sequence[RunRecord]) -> Document:
    return {"runs": [run_document(record) for record in records]}
