"""A plan: the steps that take a database from one revision to another, and everything that a run needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from magetui.model.operations import Operation
from magetui.model.schema import SchemaSketch

ChangeVerb = Literal["migrate", "rollback", "stamp", "finish", "undo", "repair", "clean"]
SignalAction = Literal["cancel", "terminate"]
# Journals record more than runs: a session that was cancelled or ended, and a backup.
RunVerb = Literal[ChangeVerb, SignalAction, "backup"]
Direction = Literal["upgrade", "downgrade", "stamp", "finish", "undo", "repair", "clean"]
OnDisconnect = Literal["continue", "cancel"]
LossKind = Literal["table", "column", "enum-value", "rows"]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan: a revision and what the run does with it."""

    revision: str
    direction: Direction
    message: str


@dataclass(frozen=True, slots=True)
class ScriptContent:
    """A file that a run executes, and the SHA-256 digest of its content when the plan was made."""

    file: str
    digest: str


@dataclass(frozen=True, slots=True)
class RepairStep:
    """One operation of a repair. If `autocommit` is true, it runs outside the transaction.

    If `direction` is set, the operation is number `index` (from 0) of the operations of the script's function of that
    name, and it runs as the script writes it. If `direction` is None, it runs as `operation` describes it.
    """

    operation: Operation
    direction: Literal["upgrade", "downgrade"] | None = None
    index: int = 0
    autocommit: bool = False


@dataclass(frozen=True, slots=True)
class RepairPart:
    """The steps of a repair that belong to one revision, in their order.

    `file` is the revision's script; None if no step needs it. `sketches` are what each direction of the script finds
    if it inspects the schema: see `Recorded`.
    """

    revision: str
    file: str | None
    steps: tuple[RepairStep, ...]
    sketches: tuple[tuple[str, int, SchemaSketch], ...] = ()


@dataclass(frozen=True, slots=True)
class Repair(RepairPart):
    """What finishes or undoes a partially applied revision, or removes leftovers.

    A repair over several revisions has one part for each: this one, and those in `then`.
    """

    then: tuple[RepairPart, ...] = ()

    @property
    def parts(self) -> tuple[RepairPart, ...]:
        return self, *self.then

    @property
    def all_steps(self) -> tuple[RepairStep, ...]:
        return tuple(step for part in self.parts for step in part.steps)


@dataclass(frozen=True, slots=True)
class PlanStep(PlannedStep):
    """A step with its SQL, or with the problem that keeps the SQL from being rendered in advance."""

    sql: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss, with its rows: all rows of a table, the rows with a value in a column, or those with this `value`.

    `exact` False: `rows` is an estimate or an upper bound, and `problem` says why. `rows` is None if there is neither.
    """

    kind: LossKind
    schema: str | None
    table: str
    column: str | None
    rows: int | None
    exact: bool
    problem: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The work of one run: from which current revision it starts, which revision it reaches, and in which steps."""

    verb: ChangeVerb
    current: tuple[str, ...]
    target_revision: str  # a full id, 'base', or 'heads' if there are several
    steps: tuple[PlannedStep, ...]
    result: tuple[str, ...]  # the current revision after the run
    version_table_sql: tuple[str, ...]  # the statements that change the version table
    database: str  # the name that the operator types to consent; SQLite: the file's name
    url: str  # of the database, redacted: a run is refused if the target database is another one by then
    replace_unknown: str | None = None  # the unknown revision that a stamp replaces
    purge: bool = False  # whether a stamp replaces all rows of the version table, since they contradict each other
    forbidden: str | None = None  # why the server would refuse any change, as a sentence
    creates_schema: str | None = None  # created before the first step, in the transaction of that step
    creates_version_table: str | None = None  # its name as SQL, if it does not exist
    repair: Repair | None = None  # of 'finish', 'undo' and 'clean'
    notes: tuple[str, ...] = ()  # what the operator must know about a repair, or about scripts of earlier runs
    kept_scripts: str | None = None  # the folder of scripts that the project does not have, and that earlier runs kept
    contents: tuple[ScriptContent, ...] = ()  # of the steps' scripts and of env.py

    @property
    def empty(self) -> bool:
        return sorted(self.current) == sorted(self.result) if self.verb == "stamp" else not self.steps

    @property
    def summary(self) -> str:
        """The plan in one line: 'migrate from a to b: 2 steps'."""
        start, end = (", ".join(current) or "nothing" for current in (self.current, self.result))
        change = f"the current revision {start} becomes {end}"
        if start == end:
            change = f"the current revision stays {end}"
        elif not self.current:
            change = f"sets the current revision to {end}"
        elif not self.result:
            change = f"removes the current revision {start}"
        if self.empty:
            several = "revisions are" if len(self.current) > 1 else "revision is"
            return f"{self.verb}: nothing to do, the current {several} {start}"
        if self.verb == "stamp":
            return f"stamp: {change}, and no SQL of the chain runs"
        if self.repair is not None:
            count = len(self.repair.all_steps)
            operations = "1 operation" if count == 1 else f"{count} operations"
            if self.verb == "clean":
                return f"clean: {operations} on what earlier runs left, {change}"
            if self.verb == "repair":
                revisions = len([part for part in self.repair.parts if part.steps])
                over = "1 revision" if revisions == 1 else f"{revisions} revisions"
                return f"repair: {operations} of {over}, {change}"
            return f"{self.verb} the partially applied revision {self.repair.revision}: {operations}, {change}"
        steps = "1 step" if len(self.steps) == 1 else f"{len(self.steps)} steps"
        return f"{self.verb} from {start} to {end}: {steps}"
