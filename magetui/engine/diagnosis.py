"""The diagnosis: everything read once, and what follows from it in order of urgency."""

from __future__ import annotations

import time
from dataclasses import dataclass

from magetui.engine.errors import ConnectError, MagetuiError, ProjectError
from magetui.engine.findings import URGENCY, Finding, chain_findings, findings_of
from magetui.engine.state import DatabaseState, read_state
from magetui.engine.workspace import Workspace


@dataclass(frozen=True, slots=True)
class TargetFacts:
    url: str | None
    source: str | None
    dialect: str | None = None
    server_version: str | None = None
    database: str | None = None
    schema: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    kind: str | None
    version: str | None
    location: str | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `diagnose` says: keys as PRODUCT.md documents them."""

    target: TargetFacts
    project: ProjectFacts
    marker: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[str, ...]
    findings: tuple[Finding, ...]
    elapsed_ms: int

    @property
    def healthy(self) -> bool:
        return all(finding.severity in ("ok", "info") for finding in self.findings)


def diagnose(workspace: Workspace) -> Diagnosis:
    """Read everything once and say what it means. Never raises for what it finds wrong: it becomes a finding.

    Raises `ProjectError` where there are no scripts to compare with.
    """
    started = time.monotonic()
    project, chain = workspace.project, workspace.chain
    findings = list(chain_findings(chain))
    state: DatabaseState | None = None
    target = TargetFacts(url=None, source=None)
    try:
        target = TargetFacts(
            url=workspace.target.redacted, source=workspace.target.source, dialect=workspace.target.dialect
        )
        state = read_state(workspace, project)
    except ConnectError as error:
        facts = {"cause": error.cause, "url": target.url, "source": target.source}
        findings.append(Finding("cannot-connect", "critical", error.message, facts, "connect"))
    except ProjectError:
        raise
    except MagetuiError as error:
        findings.append(
            Finding("cannot-connect", "critical", error.message, {"cause": "other", "url": target.url}, "locks")
        )
    pending: tuple[str, ...] = ()
    if state is not None:
        pending = chain.pending(state.marker)
        findings.extend(findings_of(project, chain, state, pending))
        target = TargetFacts(
            url=target.url,
            source=target.source,
            dialect=target.dialect,
            server_version=state.server.version,
            database=state.server.database,
            schema=state.server.schema,
            user=state.server.user,
        )
    findings.sort(key=lambda finding: URGENCY[finding.severity])
    return Diagnosis(
        target=target,
        project=ProjectFacts(kind=project.kind, version=project.version, location=str(project.location)),
        marker=state.marker if state is not None else (),
        heads=chain.heads,
        pending=pending,
        findings=tuple(findings),
        elapsed_ms=int((time.monotonic() - started) * 1000),
    )
