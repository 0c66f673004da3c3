"""A plan: the steps that take a database from one revision to another, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.model.operations import DropColumn, DropTable

if TYPE_CHECKING:
    pass
from typing import Literal

from magetui.model.operations import Operation

ChangeVerb = Literal["migrate", "rollback", "stamp", "finish", "undo"]
SignalAction = Literal["cancel", "terminate"]
# What may stand on record: a session that was ended and a backup that was made, too.
RunVerb = Literal[ChangeVerb, SignalAction, "backup"]
Direction = Literal["upgrade", "downgrade", "stamp", "finish", "undo"]
OnDisconnect = Literal["continue", "cancel"]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    revision: str
    direction: Direction
    message: str


@dataclass(frozen=True, slots=True)
class Work:
    """One operation of a repair.

    With a `way` it is what the script's function does at that `place` of its recorded operations, carried out as it
    stands there; without one it is carried out as it is described here. `autocommit`: outside the transaction.
    """

    operation: Operation
    way: Literal["upgrade", "downgrade"] | None = None
    place: int = 0
    autocommit: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """What finishes a revision that is half there, or takes it back: `works` in their order, of one script `file`."""

    revision: str
    file: str
    works: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class PlanStep:
    """A step with its SQL, or why that cannot be rendered beforehand."""

    revision: str
    direction: str
    message: str
    sql: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: from which current revision, to which target, in which steps."""

    verb: ChangeVerb
    current: tuple[str, ...]
    target: str  # a full id, or 'base'
    steps: tuple[PlannedStep, ...]
    result: tuple[str, ...]  # the current revision afterwards
    version_table_sql: tuple[str, ...]  # what is done to the version table
    database: str  # its name, as somebody who consents would type it: for SQLite the file's
    url: str  # and its URL, redacted: a run is refused where the target is another one by then
    replace_unknown: str | None = None
    purge: bool = False  # whether all rows of the version table are replaced
    forbidden: str | None = None  # why the server would refuse any change, as a sentence
    creates_schema: str | None = None  # before the first step, in its transaction
    repair: Repair | None = None  # of 'finish' and 'undo': what is done
    notes: tuple[str, ...] = ()  # and what is to be known of it

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return sorted(self.current) == sorted(self.result) if self.verb == "stamp" else not self.steps

    @property
    def destroys(self) -> bool:
        """Whether it may destroy data: a downgrade drops what the revision had added."""
        if self.repair is not None:
            return any(isinstance(work.operation, (DropTable, DropColumn)) for work in self.repair.works)
        return any(step.direction == "downgrade" for step in self.steps)

    @property
    def summary(self) -> str:
        """'migrate from a to b: 2 steps'."""
        start, end = (", ".join(current) or "nothing" for current in (self.current, self.result))
        if self.empty:
            return f"{self.verb}: nothing to do, the current revision is {start}"
        if self.verb == "stamp":
            return f"stamp: the current revision {start} becomes {end}, and no SQL of the chain runs"
        if self.repair is not None:
            count = len(self.repair.works)
            doing = "1 operation" if count == 1 else f"{count} operations"
            current = (
                f"the current revision stays {end}" if start == end else f"the current revision {start} becomes {end}"
            )
            back = "is finished" if self.verb == "finish" else "is taken back"
            return f"{self.verb}: revision {self.repair.revision}, half there, {back} by {doing}, and {current}"
        steps = "1 step" if len(self.steps) == 1 else f"{len(self.steps)} steps"
        return f"{self.verb} from {start} to {end}: {steps}"
