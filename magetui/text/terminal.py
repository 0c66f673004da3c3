"""The results of the engine as text for a terminal or a pipe. Nothing in this module reads a database.

Each result imports the words that it needs, so that the shortest verbs start quickly.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from magetui.text import formats

if TYPE_CHECKING:
    from magetui.engine.backup import Backup
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.diagnosis.finding import Finding
    from magetui.engine.model_check import ModelCheck
    from magetui.engine.preview.preflight.answers import Preflight
    from magetui.engine.preview.preview import Preview
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.sessions.tree import Branch
    from magetui.model.plan import Plan, PlanStep
    from magetui.model.schema import Table, TableDetail
    from magetui.model.sessions import Session
    from magetui.text.evidence import Conclusion
    from magetui.text.verification import Verdict

LABELS = {"critical": "CRITICAL", "warning": "WARNING", "info": "note", "ok": "OK"}
STATES = {"pending": "pending", "running": "running", "done": "done", "stopped": "stopped", "undone": "rolled back"}
COLOURS = {"critical": "31;1", "warning": "33", "info": "36", "ok": "32"}
WRAP = 100
RESTORING = {
    "postgresql": "To restore it into a new database on the same server (set PGPASSWORD, or type the password):",
    "sqlite": "To restore it, stop Mage and every other program that uses the file. Then:",
}


class Text:
    """Makes lines of text. Colours are optional, and no fact is shown by colour alone."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def diagnosis(self, diagnosis: Diagnosis) -> Iterable[str]:
        target, project = diagnosis.target, diagnosis.project
        server = f"{target.dialect} {target.server_version}" if target.server_version else target.dialect or ""
        server += formats.connected(target.url, target.address, target.tls)
        place = f"{target.database}" + (f", schema {target.schema}" if target.schema else "")
        mage = project.kind == "mage"
        current = formats.with_releases(diagnosis.current, project.kind, "  ") or "nothing"
        what = "mage-ai " + (project.version or "") if mage else "alembic"
        yield from columns(
            [
                ("target", formats.plain(target.url or "")),
                ("source", formats.plain(target.source or "")),
                ("server", formats.plain(server)),
                ("database", formats.plain(place) if target.database else "not reached"),
                ("project", formats.plain(f"{what}  {project.location}")),
                *([("python", formats.plain(f"{project.python}  ({project.python_found})"))] if not mage else []),
                *([("ran", formats.plain(", ".join(project.ran)))] if project.ran else []),
                ("current", current if diagnosis.knows_current else "unknown"),
                ("head", formats.with_releases(diagnosis.heads, project.kind, "  ") or "nothing"),
                ("pending", str(len(diagnosis.pending)) if diagnosis.knows_pending else "unknown"),
            ]
        )
        yield ""
        said: set[str] = set()  # the worst finding comes first, and says the step that several findings have
        for finding in diagnosis.findings:
            yield from self.finding(finding, says_next=finding.next not in said)
            said.add(finding.next or "")
        yield f"{formats.duration(diagnosis.elapsed_ms)}, nothing was changed"

    def finding(self, finding: Finding, *, says_next: bool = True) -> Iterable[str]:
        label = self.paint(f"{LABELS[finding.severity]:<9}", COLOURS[finding.severity])
        yield f"{label} {finding.code}"
        for line in wrapped(formats.plain(finding.message), WRAP - 10):
            yield f"          {line}"
        if not says_next:
            pass
        elif finding.next == "connect":  # a screen, not a verb
            yield "          next: check --url and the environment"
        elif finding.next == "trust":
            yield "          next: magetui diagnose --trust"
        elif finding.next:
            yield f"          next: magetui {finding.next}"
        yield ""

    def history(self, chain: Chain, *, graph: bool = False) -> Iterable[str]:
        from magetui.engine.project.releases import first_releases, release_range
        from magetui.engine.revisions.lanes import lanes_of

        heads, first = set(chain.heads), first_releases(chain)
        lanes = lanes_of(chain) if graph else {}
        width = max((lane.width for lane in lanes.values()), default=0)
        is_dated = any(revision.created for revision in chain.revisions)
        for revision in chain.revisions:
            mark = "head" if revision.revision in heads else "    "
            release = release_range(revision.revision)
            if release is None and revision.revision in first:
                release = f"first in mage-ai {first[revision.revision].version}"
            labels = f"  ({', '.join(revision.branch_labels)})" if revision.branch_labels else ""
            labels += f"  (computed: {', '.join(revision.computed)})" if revision.computed else ""
            date = f"{(revision.created or '')[:10]:<10}  " if is_dated else ""
            drawn = f"{lanes[revision.revision].drawn('●'):<{width}} " if graph else ""
            line = f"{mark}  {drawn}{revision.revision:<14} {date}{revision.message}{labels}"
            yield formats.plain(line) + (f"  [{release}]" if release else "")
        for problem in chain.problems:
            yield self.paint(f"{problem.code}: ", COLOURS["critical"]) + formats.plain(problem.message)

    def tables(self, tables: Sequence[Table]) -> Iterable[str]:
        if not tables:
            yield "no tables"
        names = [f"{t.schema}.{t.name}" if t.schema else t.name for t in tables]
        width = max((len(name) for name in names), default=0)
        for name, table in zip(names, tables, strict=True):
            sizes = f"{formats.rows(table.rows):>18}  {formats.size(table.bytes):>9}"
            yield f"{formats.plain(name):<{width}}  {sizes}".rstrip()

    def details(self, details: Sequence[TableDetail]) -> Iterable[str]:
        for detail in details:
            table = detail.table
            name = f"{table.schema}.{table.name}" if table.schema else table.name
            numbers = "  ".join(part for part in (formats.rows(table.rows), formats.size(table.bytes)) if part)
            yield formats.plain(f"{name}  {numbers}".rstrip())
            yield from columns(
                [
                    (
                        f"  {formats.plain(column.name)}",
                        formats.plain(column.type),
                        "" if column.nullable else "not null",
                        "primary key" if column.name in detail.primary_key else "",
                        f"default {formats.one_line(column.default)}" if column.default else "",
                    )
                    for column in detail.columns
                ]
            )
            for index in detail.indexes:
                kind = "unique index" if index.unique else "index"
                broken = "  INVALID" if not index.valid else ""
                yield formats.plain(f"  {kind} {index.name} ({', '.join(index.columns)}){broken}")
            for key in detail.foreign_keys:
                refers = f"{key.referred_table} ({', '.join(key.referred_columns)})"
                deleted = f" on delete {key.on_delete.lower()}" if key.on_delete else ""
                yield formats.plain(f"  foreign key {key.name or ''} ({', '.join(key.columns)}) → {refers}{deleted}")
            for constraint in detail.constraints:
                yield formats.plain(f"  {constraint.kind} {constraint.name or ''} {constraint.definition}")

    def evidence(self, chain: Chain, conclusion: Conclusion) -> Iterable[str]:
        for sentence in conclusion.sentences:
            yield from wrapped(sentence, WRAP)
        if conclusion.command:
            yield f"  {formats.plain(conclusion.command)}"  # on one line, to be copied
        if conclusion.details:
            yield ""
        for state, text in conclusion.details:
            yield from wrapped(f"  {state:<9} {text}", WRAP, 12)
        yield ""
        for evidence in conclusion.revisions:
            revision = evidence.revision
            mark = f"  [{marks}]" if (marks := conclusion.marks(revision)) else ""
            yield formats.plain(f"{evidence.state:<12}  {revision:<14} {chain.by_id[revision].message}{mark}")

    def verification(self, verdict: Verdict) -> Iterable[str]:
        first, *others = verdict.sentences
        yield from wrapped(first, WRAP)
        for state, text in verdict.details:
            yield from wrapped(f"  {state:<9} {text}", WRAP, 12)
        for sentence in others:
            yield from wrapped(sentence, WRAP)

    def model_check(self, checked: ModelCheck) -> Iterable[str]:
        from magetui.text.model_check import conclusion, lines_of

        first, *others = conclusion(checked)
        yield from wrapped(first, WRAP)
        for operation in checked.operations:
            for line in lines_of(operation):
                yield from wrapped(f"  {line}", WRAP, 4)
        for sentence in others:
            yield from wrapped(sentence, WRAP)

    def sessions(self, sessions: Sequence[Session]) -> Iterable[str]:
        from magetui.engine.sessions.tree import wait_tree
        from magetui.text import wait_queue

        if not sessions:
            yield "no other sessions"
        branches = wait_tree(sessions)
        for branch, joint in zip(branches, joints(branches), strict=True):
            session, under = branch.session, " " * (len(joint) + 4)
            behind = f"  BLOCKS {branch.waiting}" if branch.waiting and not branch.depth else ""
            yield f"{joint}{formats.session_line(session)}{behind}"
            if branch.session.blocked_by or session.waits_for:
                yield f"{under}{waits(branch, formats.duration(session.query_ms))}"
            if session.holds or session.has_mutex:
                yield f"{under}{holds(session, most=6)}"
            if session.query:
                yield f"{under}{formats.one_line(session.query, WRAP)}"
            if branch.waiting and not branch.depth:
                yield from (f"{under}{sentence}" for sentence in wait_queue.effect(session, sessions))

    def plan(self, plan: Plan, steps: Sequence[PlanStep], preview: Preview) -> Iterable[str]:
        from magetui.text import preview as previews
        from magetui.text.preflight import cause_lines

        yield formats.plain(plan.summary)
        if plan.forbidden is not None and not plan.empty:
            yield from wrapped(f"  This cannot be done here. {formats.plain(plan.forbidden)}", WRAP, 2)
        yield from (f"  {line}" for line in formats.created_first(plan))
        if plan.verb == "stamp" and not plan.empty:
            yield f"  {formats.verifying(plan.target_revision)}"
        yield from repair_lines(plan)
        yield from self.preview(preview)
        for number, step in enumerate(steps, start=1):
            yield formats.plain(f"{number:>3}  {step.direction:<9} {step.revision}  {step.message}")
            for warning in preview.steps[number - 1].warnings if preview.steps else ():
                yield from wrapped(f"       ! {formats.plain(warning)}", WRAP, 9)
            for cause in previews.causes(preview, number):
                first, *more = cause_lines(cause)
                yield from wrapped(f"       ! {formats.plain(first)}", WRAP, 9)
                yield from (f"         {formats.plain(line)}" for line in more)
            for line in (step.sql or "").splitlines():
                yield f"       {formats.plain(line)}".rstrip()
            if step.problem:
                yield f"       {formats.one_line(step.problem)}"

    def preflight(self, plan: Plan, preflight: Preflight | None) -> Iterable[str]:
        from magetui.text import preflight as preflights

        yield formats.plain(plan.summary)
        yield from preflights.report_lines(preflight) if preflight is not None else ()
        yield formats.plain(preflights.conclusion(preflight))

    def preview(self, preview: Preview) -> Iterable[str]:
        from magetui.text.preview import overview

        for heading, text in overview(preview):
            yield from wrapped(f"  {heading:<7} {formats.plain(text)}", WRAP, 10)

    def run(self, record: RunRecord) -> Iterable[str]:
        from magetui.text import run_conclusion
        from magetui.text.run_events import blocker

        by_hand = record.verb in run_conclusion.WITHOUT_VERSION_ROW
        yield f"run {record.run}: {run_conclusion.aim(record)} on {formats.place(record.database)}"
        facts = [
            ("started", f"{record.started or '?'} by {record.user}@{record.host}"),
            ("ended", record.ended or ("still running" if record.alive else "unknown")),
            ("took", formats.duration(record.elapsed_ms)),
            ("current", run_conclusion.way(record, "")),
        ]
        yield from columns(facts[:-1] if by_hand else facts)
        started = [step for step in record.steps if step.state != "pending"]
        for step in started:
            took = formats.duration(step.elapsed_ms)
            line = f"  {STATES[step.state]:<11} {step.direction:<9} {step.revision}  {step.message}  {took}"
            yield formats.plain(line).rstrip()
        if pending := len(record.steps) - len(started):
            yield f"  {pending} more not started"
        for session in record.blockers:
            yield f"  {blocker(session)}"
        yield run_conclusion.conclusion(record)

    def backup(self, backup: Backup) -> Iterable[str]:
        yield from columns(
            [
                ("backup", formats.plain(str(backup.file))),
                ("database", formats.plain(backup.database)),
                ("size", formats.size(backup.bytes)),
                ("took", formats.duration(backup.elapsed_ms)),
            ]
        )
        yield RESTORING.get(backup.dialect, "To restore it:")
        yield formats.plain(backup.restore)
        if backup.restore_problem is not None:
            yield from wrapped(formats.plain(backup.restore_problem), WRAP, 0)

    def runs(self, records: Sequence[RunRecord]) -> Iterable[str]:
        from magetui.text.run_conclusion import way

        if not records:
            yield "no runs on record"
            return
        yield from columns(
            [
                (
                    str(record.run),
                    formats.local_time(record.started),
                    record.verb,
                    formats.outcome(record.outcome),
                    formats.duration(record.elapsed_ms),
                    formats.database(record.database),
                    way(record),
                    formats.plain(f"{record.user}@{record.host}"),
                )
                for record in records
            ]
        )


def columns(lines: Sequence[tuple[str, ...]]) -> Iterable[str]:
    """Yield the lines with each column as wide as its widest cell, two spaces apart. Empty columns take no room."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)] if lines else []
    for line in lines:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True) if width).rstrip()


def joints(branches: Sequence[Branch], deepest: int = 12) -> list[str]:
    """Return what joins each session to its parent: '├─ ', '│  └─ ', … Below `deepest`, nothing is indented further."""
    lines = [""] * len(branches)
    later: list[bool] = []  # by depth: whether a later session has the same parent
    for index in range(len(branches) - 1, -1, -1):
        depth = branches[index].depth
        has_sibling = depth < len(later) and later[depth]
        del later[depth:]
        later += [False] * (depth - len(later)) + [True]
        if depth:
            bars = "".join("│  " if continues else "   " for continues in later[1:depth][-deepest:])
            lines[index] = bars + ("├─ " if has_sibling else "└─ ")
    return lines


def waits(branch: Branch, since: str) -> str:
    """Return what a session waits for and which sessions block it: by a lock, or only by their place in the queue."""
    from magetui.model.sessions import PREPARED

    session = branch.session
    what = formats.wanted(session.waits_for)
    parts = [f"queues behind {branch.above} for {what}" if branch.queued else f"waits for {what}", since]
    if branch.circle:
        parts.append("in a deadlock with the sessions below")
    if branch.other_blockers:
        parts.append(f"also behind {formats.some([*map(str, branch.other_blockers)], 3)}")
    parts += ["behind a prepared transaction" for pid in branch.unseen if pid == PREPARED]
    unseen = [str(pid) for pid in branch.unseen if pid != PREPARED]
    if unseen:
        parts.append(f"behind {formats.some(unseen, 3)}, not visible here")
    return ", ".join(part for part in parts if part)


def holds(session: Session, wanted: Sequence[str] = (), most: int = 3) -> str:
    """Return the locks that a session holds, first the locks on `wanted` relations."""
    modes: dict[str, list[str]] = {}
    for lock in sorted(session.holds, key=lambda lock: lock.relation not in wanted):
        modes.setdefault(lock.relation, []).append(formats.mode(lock.mode))
    locks = ["the migration lock"] if session.has_mutex else []
    locks += [f"{formats.one_line(relation)} ({', '.join(held)})" for relation, held in modes.items()]
    return f"holds {formats.some(locks, most)}"


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Return `text` in lines of `width` columns, indented after the first. Quoted commands stay on one line."""
    text = re.sub(r"'(?:magetui|pip) [^']{,60}'", lambda match: match[0].replace(" ", "\xa0"), text)
    lines = textwrap.wrap(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\xa0", " ") for line in lines] or [""]


def repair_lines(plan: Plan) -> Iterable[str]:
    """Yield the operations of a repair, one a line, and the notes on them."""
    from magetui.text.operations import doing

    for step in plan.repair.all_steps if plan.repair is not None else ():
        yield f"    {doing(step.operation)}"
    for note in plan.notes:
        yield from wrapped(f"  ! {formats.plain(note)}", WRAP, 4)
