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

from magetui.text.formats import CONTROL

if TYPE_CHECKING:
    from magetui.engine.backup import Backup
    from magetui.engine.demo.demo import Demo
    from magetui.engine.evidence.verdict import Evidence
    from magetui.engine.model_check import ModelCheck
    from magetui.engine.preview.preflight.answers import Preflight
    from magetui.engine.preview.preview import Preview, TableEffect
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.sessions.signals import Signalled
    from magetui.engine.verify import Verification
    from magetui.model.plan import Plan, PlanStep
    from magetui.model.schema import TableDetail
    from magetui.text.evidence import Conclusion
    from magetui.text.verification import Verdict

FORMAT = 2  # format 1 had no number, and named the current revision otherwise
Document = dict[str, Any]
RUN_KEYS = (
    *("run", "verb", "target", "outcome", "current_before", "current_after", "session", "session_left", "current_now"),
    *("steps", "attempts", "signals", "blockers", "error", "where", "unchanged", "elapsed_ms", "started", "ended"),
    *("user", "host", "alive", "database", "losses", "schema_changes"),
)


def as_json(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text, with the number of its format as the first key.

    Characters that a terminal obeys, or that are no valid text, are JSON's escapes: the value is the same.
    """
    text = json.dumps({"format": FORMAT, **document}, ensure_ascii=False, indent=1, default=str)
    return CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def history_document(chain: Chain) -> Document:
    heads = set(chain.heads)
    return {
        "revisions": [{**asdict(revision), "head": revision.revision in heads} for revision in chain.revisions],
        "problems": [asdict(problem) for problem in chain.problems],
    }


def check_document(checked: ModelCheck) -> Document:
    from magetui.text import model_check  # loads the operations, which other documents do not need

    return {
        "conclusion": model_check.conclusion(checked),
        "equal": checked.equal,
        "current": checked.current,
        "operations": [{"does": model_check.lines_of(new), "code": new.code} for new in checked.operations],
        "elapsed_ms": checked.elapsed_ms,
    }


def details_document(details: Sequence[TableDetail]) -> Document:
    documents = [asdict(detail) for detail in details]
    return {"tables": [{**document.pop("table"), **document} for document in documents]}


def evidence_document(chain: Chain, evidence: Evidence, conclusion: Conclusion) -> Document:
    """Return the document of `evidence`.

    `fits` and `loosely` are lists of candidates for the current revision. Each candidate is a list of revisions, and
    the empty list is base.
    """
    partial = evidence.partial
    return {
        "conclusion": conclusion.sentences,
        "next": conclusion.command,
        "current": conclusion.current,
        "current_matches": conclusion.current_matches,
        "fits": evidence.fits,
        "loosely": evidence.loosely,
        "half": None if partial is None else _picked(partial, "revision", "direction"),
        "nearest": evidence.nearest,
        "details": [{"state": state, "message": text} for state, text in conclusion.details],
        "revisions": [
            {
                **_picked(revision, "revision", "state", "there", "missing", "why"),
                "message": chain.by_id[revision.revision].message,
            }
            for revision in conclusion.revisions
        ],
    }


def verification_document(verification: Verification, verdict: Verdict) -> Document:
    """Return the document of `verify`.

    `place` is where the schema was built: `memory`, `schema` (a scratch schema) or `apart` (the scratch database
    `scratch`, a redacted URL). `chosen` is where the revision came from: `named`, `current` or `evidence`.
    """
    rehearsal = verification.plan
    return {
        "conclusion": verdict.sentences,
        "equal": verification.equal,
        "revisions": rehearsal.revisions,
        "chosen": rehearsal.chosen,
        "place": rehearsal.mode,
        "scratch": rehearsal.scratch,
        "server_version": verification.server,
        "tables": verification.tables,
        "differences": [{"state": state, "message": text} for state, text in verdict.details],
        "beside": verdict.beside,
        "unread": sorted({fact.table for fact in verification.unread}),
        "elapsed_ms": verification.elapsed_ms,
    }


def plan_document(plan: Plan, steps: Sequence[PlanStep], preview: Preview) -> Document:
    from magetui.text.preflight import document

    return {
        "verb": plan.verb,
        "from": plan.current,
        "to": plan.target_revision,
        "creates_schema": plan.creates_schema,
        "creates_version_table": plan.creates_version_table,
        "forbidden": plan.forbidden,
        "doubt": preview.doubt,
        "not_compared": preview.not_compared,
        "fails": preview.fails,
        "preflight": document(preview.preflight),
        "owner": preview.owner,
        "waits": preview.waits,
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
        "undecidable_losses": preview.losses.undecidable,
    }


def preflight_document(plan: Plan, preflight: Preflight | None) -> Document:
    from magetui.text.preflight import conclusion, document

    return {
        "verb": plan.verb,
        "from": plan.current,
        "to": plan.target_revision,
        "message": conclusion(preflight),
        "preflight": document(preflight),
    }


def _lock(effect: TableEffect) -> Document:
    mode = effect.effect.mode
    sizes = _picked(effect, "rows", "bytes", "holders")
    return {**asdict(effect.effect), "mode": "" if mode is None else mode.pg_locks, **sizes}


def run_document(record: RunRecord) -> Document:
    facts = asdict(record) | {"target": record.target_revision, "unchanged": record.unchanged, "alive": record.alive}
    facts["schema_changes"] = None if record.compared is None else asdict(record.compared)["changes"]
    if record.alive:
        facts["outcome"] = None
    return {key: facts[key] for key in RUN_KEYS}


def nothing_done_document(plan: Plan) -> Document:
    """Return the document of a changing verb that has nothing to do: a run without a number."""
    return {
        "run": None,
        "verb": plan.verb,
        "target": plan.target_revision,
        "outcome": "done",
        "current_before": plan.current,
        "current_after": plan.current,
        "steps": [],
        "blockers": [],
        "error": None,
        "elapsed_ms": 0,
    }


def backup_document(backup: Backup) -> Document:
    return _picked(backup, "file", "bytes", "elapsed_ms", "restore", "restore_problem", "database")


def signal_document(signalled: Signalled) -> Document:
    return {"action": signalled.action, **asdict(signalled)}


def demo_document(demo: Demo, commands: Sequence[str]) -> Document:
    facts = _picked(demo, "scenario", "folder", "config", "database", "state_home")
    return {**facts, "holder": demo.holder_pid, "story": demo.story, "commands": commands}


def _picked(value: object, *names: str) -> Document:
    return {name: getattr(value, name) for name in names}
