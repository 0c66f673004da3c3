"""What workers found out, on its way to the app: messages carry values, handlers own what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from magetui.backends.base import Table, TableDetail
    from magetui.engine.chain import Chain
    from magetui.engine.diagnosis import Diagnosis
    from magetui.engine.runs import RunRecord


class StateRead(Message):
    """The database and the scripts were read; `tables` is a sentence where they could not be."""

    def __init__(self, diagnosis: Diagnosis, chain: Chain, tables: tuple[Table, ...] | str) -> None:
        self.diagnosis = diagnosis
        self.chain = chain
        self.tables = tables
        super().__init__()


class ReadingFailed(Message):
    """There is nothing to read: no scripts, or no database named."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__()


class DetailsRead(Message):
    """A table's details were read."""

    def __init__(self, details: tuple[TableDetail, ...]) -> None:
        self.details = details
        super().__init__()


class RunsRead(Message):
    """The runs on record were read; `wanted` where the operator asked to see them."""

    def __init__(self, records: tuple[RunRecord, ...], *, wanted: bool) -> None:
        self.records = records
        self.wanted = wanted
        super().__init__()


class ActionFailed(Message):
    """What the operator asked for could not be done."""

    def __init__(self, verb: str, problem: str) -> None:
        self.verb = verb
        self.problem = problem
        super().__init__()
