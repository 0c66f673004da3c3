"""The engine's functions that take a reading, each on its own connection: tests change the database in between."""

from __future__ import annotations

from magetui.engine.diagnosis import diagnosis as diagnoses
from magetui.engine.diagnosis.diagnosis import Diagnosis
from magetui.engine.evidence import evidence as evidences
from magetui.engine.evidence.diff import Live, live_schema
from magetui.engine.evidence.verdict import Evidence
from magetui.engine.plan import make_plan as make
from magetui.engine.repair import plan as repairs
from magetui.engine.repair.plan import RepairVerb
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.workspace import Workspace
from magetui.model.plan import ChangeVerb, Plan


def diagnose(workspace: Workspace) -> Diagnosis:
    with open_reading(workspace) as reading:
        return diagnoses.diagnose(reading)


def add_evidence(workspace: Workspace, diagnosis: Diagnosis) -> Diagnosis:
    with open_reading(workspace) as reading:
        return diagnoses.add_evidence(reading, diagnosis)


def gather_evidence(workspace: Workspace) -> Evidence:
    with open_reading(workspace) as reading:
        return evidences.gather_evidence(reading)


def make_plan(workspace: Workspace, verb: ChangeVerb, revision: str | None, replace_unknown: str | None = None) -> Plan:
    with open_reading(workspace) as reading:
        return make(reading, verb, revision, replace_unknown)


def plan_repair(workspace: Workspace, verb: RepairVerb) -> Plan:
    with open_reading(workspace) as reading:
        return repairs.plan_repair(reading, verb)


def read_live(workspace: Workspace) -> tuple[Live, str | None]:
    """Return the live facts, and the default schema."""
    with open_reading(workspace) as reading:
        return live_schema(workspace, reading.snapshot), reading.snapshot.server.schema
