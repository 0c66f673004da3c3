"""Results as text for a terminal or a pipe. Nothing here asks a database anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from magetui import words
from magetui.backends.base import Session, Table, TableDetail
from magetui.engine import locks
from magetui.engine.chain import Chain
from magetui.engine.diagnosis import Diagnosis
from magetui.engine.findings import Finding
from magetui.engine.mage import spoken_releases
from magetui.engine.plan import Plan, PlanStep
from magetui.engine.runs import RunRecord

LABELS = {"critical": "CRITICAL", "warning": "WARNING", "info": "note", "ok": "OK"}
STATES = {"pending": "pending", "running": "running", "done": "done", "stopped": "stopped", "undone": "rolled back"}
COLOURS = {"critical": "31;1", "warning": "33", "info": "36", "ok": "32"}
WRAP = 100


class Text:
    """Lines of text, with colours only where they are wanted; never colour alone."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def diagnosis(self, diagnosis: Diagnosis) -> Iterable[str]:
        target, project = diagnosis.target, diagnosis.project
        server = f"{target.dialect} {target.server_version}" if target.server_version else target.dialect
        place = f"{target.database}" + (f", schema {target.schema}" if target.schema else "")
        what = "mage-ai " + (project.version or "") if project.kind == "mage" else "alembic"
        yield from _table(
            [
                ("target", words.plain(target.url or "")),
                ("source", words.plain(target.source or "")),
                ("server", words.plain(server or "")),
                ("database", words.plain(place) if target.database else "not reached"),
                ("project", words.plain(f"{what}  {project.location}")),
                ("marker", self._revisions(diagnosis.marker, project.kind) if target.database else "unknown"),
                ("head", self._revisions(diagnosis.heads, project.kind)),
                ("pending", str(len(diagnosis.pending))),
            ]
        )
        yield ""
        for finding in diagnosis.findings:
            yield from self.finding(finding)
        yield f"{words.duration(diagnosis.elapsed_ms)}, nothing was changed"

    def _revisions(self, revisions: Sequence[str], kind: str | None) -> str:
        said = []
        for revision in revisions:
            release = spoken_releases(revision) if kind == "mage" else None
            said.append(words.plain(revision) + (f"  ({release})" if release else ""))
        return ", ".join(said) or "nothing"

    def finding(self, finding: Finding) -> Iterable[str]:
        label = self.paint(f"{LABELS[finding.severity]:<9}", COLOURS[finding.severity])
        yield f"{label} {finding.code}"
        for line in wrapped(words.plain(finding.message), WRAP - 10):
            yield f"          {line}"
        if finding.next == "connect":  # a screen, and no verb
            yield "          next: check --url and the environment"
        elif finding.next:
            yield f"          next: magetui {finding.next}"
        yield ""

    def history(self, chain: Chain) -> Iterable[str]:
        heads = set(chain.heads)
        for revision in chain.revisions:
            mark = "head" if revision.revision in heads else "    "
            release = spoken_releases(revision.revision)
            labels = f"  ({', '.join(revision.branch_labels)})" if revision.branch_labels else ""
            date = (revision.created or "")[:10]
            line = f"{mark}  {revision.revision:<14} {date:<10}  {revision.message}{labels}"
            yield words.plain(line) + (f"  [{release}]" if release else "")
        for problem in chain.problems:
            yield self.paint(f"{problem.code}: ", COLOURS["critical"]) + words.plain(problem.message)

    def tables(self, tables: Sequence[Table]) -> Iterable[str]:
        if not tables:
            yield "no tables"
        names = [f"{t.schema}.{t.name}" if t.schema else t.name for t in tables]
        width = max((len(name) for name in names), default=0)
        for name, table in zip(names, tables, strict=True):
            yield f"{words.plain(name):<{width}}  {words.rows(table.rows):>18}  {words.size(table.bytes):>9}".rstrip()

    def details(self, details: Sequence[TableDetail]) -> Iterable[str]:
        for detail in details:
            table = detail.table
            name = f"{table.schema}.{table.name}" if table.schema else table.name
            numbers = "  ".join(part for part in (words.rows(table.rows), words.size(table.bytes)) if part)
            yield words.plain(f"{name}  {numbers}".rstrip())
            yield from _table(
                [
                    (
                        f"  {words.plain(column.name)}",
                        words.plain(column.type),
                        "" if column.nullable else "not null",
                        "primary key" if column.name in detail.primary_key else "",
                        f"default {words.one_line(column.default)}" if column.default else "",
                    )
                    for column in detail.columns
                ]
            )
            for index in detail.indexes:
                kind = "unique index" if index.unique else "index"
                broken = "  INVALID" if not index.valid else ""
                yield words.plain(f"  {kind} {index.name} ({', '.join(index.columns)}){broken}")
            for key in detail.foreign_keys:
                refers = f"{key.referred_table} ({', '.join(key.referred_columns)})"
                deleted = f" on delete {key.on_delete.lower()}" if key.on_delete else ""
                yield words.plain(f"  foreign key {key.name or ''} ({', '.join(key.columns)}) → {refers}{deleted}")
            for constraint in detail.constraints:
                yield words.plain(f"  {constraint.kind} {constraint.name or ''} {constraint.definition}")

    def sessions(self, sessions: Sequence[Session]) -> Iterable[str]:
        if not sessions:
            yield "no other sessions"
        for branch in locks.tree(sessions):
            indent = "   " * branch.depth
            joint = "└ " if branch.depth else ""
            session = branch.session
            behind = f"  BLOCKS {branch.waiting}" if branch.waiting and not branch.depth else ""
            yield f"{indent}{joint}{words.session_line(session)}{behind}"
            if session.waits_for is not None:
                mode = f"{words.mode(session.waits_for.mode)} on " if session.waits_for.mode else ""
                waits = f"waits for {mode}{words.plain(session.waits_for.relation or '?')}"
                yield f"{indent}      {waits}, {words.duration(session.query_ms)}"
            if session.holds:
                held = ", ".join(f"{h.relation} ({words.mode(h.mode)})" for h in session.holds[:6])
                more = f" and {len(session.holds) - 6} more" if len(session.holds) > 6 else ""
                yield f"{indent}      holds {words.plain(held)}{more}"
            if session.query:
                yield f"{indent}      {words.one_line(session.query, WRAP)}"

    def plan(self, plan: Plan, steps: Sequence[PlanStep]) -> Iterable[str]:
        yield words.plain(plan.summary)
        for number, step in enumerate(steps, start=1):
            yield words.plain(f"{number:>3}  {step.direction:<9} {step.revision}  {step.message}")
            for line in (step.sql or "").splitlines():
                yield f"       {words.plain(line)}".rstrip()
            if step.problem:
                yield f"       {words.one_line(step.problem)}"

    def run(self, record: RunRecord) -> Iterable[str]:
        yield words.plain(f"run {record.run}: {record.verb} to {record.target} on {record.database}")
        yield from _table(
            [
                ("started", f"{record.started or '?'} by {record.user}@{record.host}"),
                ("ended", record.ended or ("goes on" if record.alive else "unknown")),
                ("took", words.duration(record.elapsed_ms)),
                ("outcome", words.OUTCOMES[record.outcome]),
                ("marker", f"{words.marker(record.marker_before)} → {words.marker(record.marker_after)}"),
            ]
        )
        not_begun = [step for step in record.steps if step.state == "pending"]
        for step in record.steps:
            if step in not_begun:
                continue
            took = words.duration(step.elapsed_ms)
            line = f"  {STATES[step.state]:<11} {step.direction:<9} {step.revision}  {step.message}  {took}"
            yield words.plain(line).rstrip()
        if not_begun:
            yield f"  {len(not_begun)} more not begun"
        for session in record.blockers:
            yield f"  in the way: {words.session_line(session)}"
        yield words.run_conclusion(record)

    def runs(self, records: Sequence[RunRecord]) -> Iterable[str]:
        if not records:
            yield "no runs on record"
            return
        yield from _table(
            [
                (
                    str(record.run),
                    (record.started or "")[:19].replace("T", " "),
                    record.verb,
                    f"{words.marker(record.marker_before)} → {record.target}",
                    words.OUTCOMES[record.outcome],
                    words.duration(record.elapsed_ms),
                    f"{record.user}@{record.host}",
                )
                for record in records
            ]
        )


def _table(lines: Sequence[tuple[str, ...]]) -> Iterable[str]:
    """Columns as wide as their widest cell, two spaces apart."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)] if lines else []
    for line in lines:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns."""
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
