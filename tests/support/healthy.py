"""A chain that Alembic migrates step by step, and what the program says of the database after each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from magetui.engine.diagnosis.diagnosis import diagnose
from magetui.engine.diagnosis.evidence_findings import judged
from magetui.engine.diagnosis.finding import Finding
from magetui.engine.evidence.evidence import gather_evidence
from magetui.engine.evidence.verdict import Evidence
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import Recording
from magetui.protocol.requests import RecordRequest
from magetui.runner.barrier import Barrier
from magetui.runner.recorder import record
from tests.support.alembic_project import Revision, make_project
from tests.support.steps import Steps, walking

NO_ALARM = frozenset({"behind", "up-to-date"})


@dataclass
class Walk:
    """A database on its way along a chain."""

    workspace: Workspace
    recordings: Mapping[str, Recording]
    steps: Steps

    def looked_at(self) -> tuple[Evidence, list[Finding]]:
        """Return the evidence, and the findings that an operator would have to act on."""
        evidence, accusing, _ = look(self.workspace, self.recordings)
        return evidence, accusing


def look(workspace: Workspace, recordings: Mapping[str, Recording]) -> tuple[Evidence, list[Finding], tuple[str, ...]]:
    """Return the evidence, the findings that accuse the database, and its current revision."""
    with open_reading(workspace) as reading:
        diagnosis = diagnose(reading)
        reading.read_all()
        evidence = gather_evidence(reading, recordings)
    findings = judged(diagnosis.findings, workspace.chain, diagnosis.current, evidence)
    accusing = [one for one in findings if one.severity in ("warning", "critical") and one.code not in NO_ALARM]
    return evidence, accusing, diagnosis.current


@contextmanager
def walk(url: str, folder: Path, revisions: Sequence[Revision]) -> Iterator[Walk]:
    """Write the chain into the folder, and record it in this process."""
    project = make_project(folder / "project", revisions, url)
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    ids = tuple(revision.id for revision in revisions)
    files = tuple(str(workspace.chain.by_id[revision].path) for revision in ids)
    request = RecordRequest(workspace.project.scripts, workspace.target.dialect, ids, files)
    recordings = {recording.revision: recording for recording in record(request, Barrier())}
    with walking(url, project.directory / "migrations") as steps:
        yield Walk(workspace, recordings, steps)


def chain_of(*upgrades: str) -> list[Revision]:
    """Return rev1, rev2, … with these upgrades, and downgrades that do nothing."""
    return [
        Revision(f"rev{number}", f"rev{number - 1}" if number > 1 else None, f"Step {number}", upgrade)
        for number, upgrade in enumerate(upgrades, start=1)
    ]


def assert_healthy(url: str, folder: Path, revisions: Sequence[Revision]) -> None:
    """Migrate with Alembic, a revision at a time: nothing is accused, and the revision is among the candidates."""
    with walk(url, folder, revisions) as walked:
        for revision in revisions:
            walked.steps.upgrade(revision.id)
            evidence, accusing = walked.looked_at()
            assert not accusing, (revision.id, accusing)
            assert (revision.id,) in (*evidence.fits, *evidence.loosely), (revision.id, evidence.differences)
