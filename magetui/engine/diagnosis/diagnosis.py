"""The diagnosis: the findings from one overview of the database, in order of urgency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from magetui.engine.diagnosis.finding import BLOCKERS, Finding, in_order, some, worth_weighing
from magetui.engine.diagnosis.findings import chain_findings, environment_findings, findings_of
from magetui.engine.errors import ConnectError, MagetuiError, ProjectError

if TYPE_CHECKING:
    from magetui.engine.schema.snapshot import Overview, Reading

UNLIKE_SCRIPTS = ("evidence-contradicts", "made-from-models")  # the schema is not what the scripts make
HOLDING = ("idle-in-transaction", "blocking-sessions")  # findings about sessions that hold locks


@dataclass(frozen=True, slots=True)
class TargetFacts:
    url: str | None
    source: str | None
    dialect: str | None = None
    server_version: str | None = None
    database: str | None = None
    schema: str | None = None
    user: str | None = None
    address: str | None = None  # where the driver is connected: 'db1:5432', or a socket
    tls: str | None = None  # the protocol's version; None without


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    kind: str | None
    version: str | None
    location: str | None
    python: str | None = None  # the interpreter that runs its scripts
    python_found: str | None = None
    ran: tuple[str, ...] = ()  # what ran of its own code for this diagnosis


# With these findings, the version table does not say which revisions are applied.
SAYS_NOTHING = frozenset({"unknown-revision", "no-version-table", "empty-version-table"})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of `diagnose`. The names of its fields are the keys of the JSON document."""

    target: TargetFacts
    project: ProjectFacts
    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[str, ...]
    findings: tuple[Finding, ...]
    elapsed_ms: int

    @property
    def knows_current(self) -> bool:
        """Return whether the version table was read, or does not exist."""
        is_unreadable = any(finding.code == "unreadable-version-table" for finding in self.findings)
        return self.target.database is not None and not is_unreadable

    @property
    def knows_pending(self) -> bool:
        """Return whether the current revision was read and is in the chain, so that `pending` says something.

        A database with tables and without a current revision does not say what is pending.
        """
        return self.knows_current and all(finding.code not in SAYS_NOTHING for finding in self.findings)

    @property
    def healthy(self) -> bool:
        return all(finding.severity in ("ok", "info") for finding in self.findings)


def diagnose(reading: Reading) -> Diagnosis:
    """Read the overview of a database and return the findings. An error of the database is a finding, too.

    Raises `ProjectError` if there are no scripts to compare with.
    """
    started = time.monotonic()
    workspace = reading.workspace
    project, chain = workspace.project, workspace.chain
    findings = list(environment_findings(project, workspace.python, workspace.untrusted))
    overview: Overview | None = None
    target = TargetFacts(url=None, source=None)
    try:
        target = TargetFacts(workspace.target.redacted, workspace.target.source, workspace.target.dialect)
        overview = reading.overview
    except ConnectError as error:
        facts = {"cause": error.cause, "url": target.url, "source": target.source}
        findings.append(Finding("cannot-connect", "critical", error.message, facts, "connect"))
    except ProjectError:
        raise
    except MagetuiError as error:
        facts = {"cause": "other", "url": target.url}
        findings.append(Finding("cannot-connect", "critical", error.message, facts, "locks"))
    pending: tuple[str, ...] = ()
    if overview is not None:
        pending = chain.pending(overview.current)
        findings.extend(findings_of(project, chain, overview, pending, workspace.target))
        if not chain.broken and (unknown := chain.unknown(overview.current)):
            from magetui.engine.diagnosis.places import with_places  # seldom needed

            findings = with_places(workspace, unknown, findings)
        server = overview.server
        target = replace(
            target,
            server_version=server.version,
            database=server.database,
            schema=server.schema,
            user=server.user,
            address=server.address,
            tls=server.tls,
        )
    current = overview.current if overview is not None else ()
    all_applied = bool(current) and not chain.broken and not chain.unknown(current) and not pending
    findings = [*chain_findings(chain, all_applied=all_applied), *findings]
    return Diagnosis(
        target=target,
        project=ProjectFacts(
            project.kind,
            project.version,
            str(project.location),
            workspace.python.path,
            workspace.python.why,
            workspace.ran,
        ),
        current=current,
        heads=chain.heads,
        pending=pending,
        findings=in_order(findings),
        elapsed_ms=int((time.monotonic() - started) * 1000),
    )


def add_evidence(reading: Reading, diagnosis: Diagnosis) -> Diagnosis:
    """Return the diagnosis with the findings from the evidence; unchanged if there is nothing to compare.

    It is separate from `diagnose`, because scripts that are new take a second or two to be recorded. The
    reading's connection is closed before.
    """
    if not worth_weighing(diagnosis.findings) or reading.workspace.untrusted is not None:
        return diagnosis
    started = time.monotonic()
    from magetui.engine.diagnosis.evidence_findings import judged
    from magetui.engine.evidence.evidence import gather_evidence  # loads what only evidence needs

    try:
        if reading.workspace.backend.name != "mssql":  # there is no evidence for SQL Server yet
            reading.read_all()
        findings = judged(diagnosis.findings, reading.workspace.chain, diagnosis.current, gather_evidence(reading))
        findings = _with_obstacles(reading, diagnosis.pending, findings)
        if any(finding.code in UNLIKE_SCRIPTS for finding in findings):
            from magetui.engine.diagnosis.places import edited_scripts  # seldom needed

            findings += edited_scripts(reading.workspace, diagnosis.current)
    except MagetuiError as error:
        message = f"It is not known whether the schema matches the current revision. {error.message}"
        findings = [*diagnosis.findings, Finding("evidence-missing", "info", message, {"reason": error.message})]
    elapsed_ms = diagnosis.elapsed_ms + int((time.monotonic() - started) * 1000)
    project = replace(diagnosis.project, ran=reading.workspace.ran)
    return replace(diagnosis, project=project, findings=in_order(findings), elapsed_ms=elapsed_ms)


def _with_obstacles(reading: Reading, pending: Sequence[str], findings: list[Finding]) -> list[Finding]:
    """Return the findings; those about sessions say whether the pending revisions would wait for one."""
    sessions = [finding for finding in findings if finding.code in HOLDING]
    if not sessions or not pending or reading.workspace.backend.name != "postgresql":
        return findings
    from magetui.engine.preview.preview import lock_holders

    holders = lock_holders(reading, pending)
    return [_with_blockers(f, sorted(holders & set(f.facts["pids"]))) if f in sessions else f for f in findings]


def _with_blockers(finding: Finding, pids: list[int]) -> Finding:
    if not pids:
        return finding
    who = "session" if len(pids) == 1 else "sessions"
    known = finding.message.partition(" A migration that alters")[0]
    message = f"{known} The pending revisions would wait for {who} {some([str(pid) for pid in pids])}."
    return replace(finding, message=message, facts={**finding.facts, BLOCKERS: pids})
