"""What the preflight says of a plan: an answer for each step, and its causes with the rows that stop an operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from magetui.model.operations import Operation

Answer = Literal["passes", "fails", "unknown"]
ROWS, VALUES = "{rows}", "{values}"  # in a sentence: how many rows or values were found


@dataclass(frozen=True, slots=True)
class Offenders:
    """The rows that stop an operation: how many, and the first of them as texts. A null is None."""

    count: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an operation fails, or why it is not known whether it does.

    `sentence` has no full stop; of an unknown answer it ends 'It is not known …'. `says` is the server's own message.
    `query` finds the offenders, or would.
    """

    answer: Literal["fails", "unknown"]
    operation: Operation | None  # None: the cause is about the step
    sentence: str
    says: str | None = None
    query: str | None = None
    offenders: Offenders | None = None

    @property
    def said(self) -> str:
        """The sentence with the number of rows or values."""
        count = 0 if self.offenders is None else self.offenders.count
        sentence = self.sentence.replace(ROWS, "1 row" if count == 1 else f"{count:,} rows")
        return sentence.replace(VALUES, "1 value" if count == 1 else f"{count:,} values")


@dataclass(frozen=True, slots=True)
class StepAnswer:
    revision: str
    direction: str
    causes: tuple[Cause, ...] = ()

    @property
    def answer(self) -> Answer:
        return _worst(cause.answer for cause in self.causes)


@dataclass(frozen=True, slots=True)
class Preflight:
    """The answers in the order of the run. If a step fails, what follows is answered as if it had not failed."""

    steps: tuple[StepAnswer, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """What fails of the first step that fails: 'at b002: there is no table loan'. No later step is run."""
        step = next((step for step in self.steps if step.answer == "fails"), None)
        causes = step.causes if step is not None else ()
        return tuple(f"at {step.revision}: {cause.said}" for cause in causes if step and cause.answer == "fails")

    @property
    def reached(self) -> int:
        """The number of steps that are run, the first one that fails included."""
        failing = [number for number, step in enumerate(self.steps, start=1) if step.answer == "fails"]
        return failing[0] if failing else len(self.steps)

    @property
    def answer(self) -> Answer:
        return _worst(step.answer for step in self.steps)


def _worst(answers: Iterator[Answer]) -> Answer:
    found = set(answers)
    return "fails" if "fails" in found else "unknown" if "unknown" in found else "passes"
