"""A run in one line: an arrow means that the current revision moved."""

from __future__ import annotations

import pytest

from magetui.engine.runs.record import RunRecord
from magetui.text import run_conclusion

A, B, C = ("aaaaaaaaaaaa",), ("bbbbbbbbbbbb",), ("cccccccccccc",)


def record(outcome: str, after: tuple[str, ...] | None, verb: str = "migrate") -> RunRecord:
    return RunRecord(1, verb, *B, outcome=outcome, current_before=A, current_after=after)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run", "said", "brief"),
    [
        (record("done", B), f"{A[0]} → {B[0]}", f"{A[0]} → {B[0]}"),
        (record("cancelled", A), f"current revision stayed {A[0]} (wanted {B[0]})", f"current revision stayed {A[0]}"),
        (record("failed", C), f"{A[0]} → {C[0]} (wanted {B[0]})", f"{A[0]} → {C[0]}"),
        (record("failed", B), f"{A[0]} → {B[0]}", f"{A[0]} → {B[0]}"),
        (record("failed", ()), f"{A[0]} → nothing (wanted {B[0]})", f"{A[0]} → nothing"),
        (
            record("lost", None),
            f"current revision not read back (was {A[0]}, wanted {B[0]})",
            "current revision not read back",
        ),
        (record("running", None), f"from {A[0]} to {B[0]}", f"from {A[0]} to {B[0]}"),
        (record("done", None, "terminate"), *B, *B),
    ],
)
def test_the_way_of_a_run_is_what_was_read_back(run: RunRecord, said: str, brief: str) -> None:
    assert run_conclusion.way(run) == said
    assert run_conclusion.way(run, brief=True) == brief
    assert run_conclusion.way(run, "") == said.removeprefix("current revision ")
