"""The log is all that an operator has: it names the revision, the statement and the meaning of the error."""

from __future__ import annotations

import pytest

from magetui.engine.explain.explanation import explain
from magetui.engine.explain.reading import read_log
from magetui.text.explanation import lines
from tests.engine.explain.logs import LOGS, NOTHING, Log


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS.keys())
def test_the_error_of_a_log_is_found(log: Log) -> None:
    error = read_log(log.text)
    assert error is not None
    assert error.trouble == log.trouble
    assert (error.revision, error.direction) == (log.revision, log.direction)
    if log.statement is not None and error.statement is not None:
        assert error.statement.split()[:3] == log.statement.split()[:3]
    shown = "\n".join(lines(explain(error)))
    assert "Next: magetui " in shown


@pytest.mark.parametrize("text", NOTHING)
def test_a_log_without_an_error_has_none(text: str) -> None:
    assert read_log(text) is None


def test_a_log_of_restarts_counts_them() -> None:
    error = read_log(LOGS["three restarts"].text)
    assert error is not None
    assert error.times == 3
