"""What workers found out, on its way to the app: messages carry values, handlers own what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.target.selection import Selection
    from magetui.model.schema import Table, TableDetail
    from magetui.tui.backup_job import BackupWork


class Answer(Message):
    """What was read of the database that `selection` chose, which may not be the one that is chosen by now."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        super().__init__()


class StateRead(Answer):
    """The database's state and the scripts were read.

    `bare` is the diagnosis before evidence was added to it; `quiet` where nobody had asked for it.
    """

    def __init__(
        self, selection: Selection, diagnosis: Diagnosis, chain: Chain, bare: Diagnosis, *, quiet: bool = False
    ) -> None:
        self.diagnosis = diagnosis
        self.chain = chain
        self.bare = bare
        self.quiet = quiet
        super().__init__(selection)


class TablesRead(Answer):
    """The tables were listed; a sentence where they could not be."""

    def __init__(self, selection: Selection, tables: tuple[Table, ...] | str) -> None:
        self.tables = tables
        super().__init__(selection)


class ReadingFailed(Answer):
    """There is nothing to read: no scripts, or no database named."""

    def __init__(self, selection: Selection, problem: str) -> None:
        self.problem = problem
        super().__init__(selection)


class DetailsRead(Answer):
    """A table's details were read."""

    def __init__(self, selection: Selection, details: tuple[TableDetail, ...]) -> None:
        super().__init__(selection)
        self.details = details


class RunsRead(Message):
    """The runs on record were read; `wanted` where the operator asked to see them.

    `database` is the one that is looked at, as records name it.
    """

    def __init__(self, records: tuple[RunRecord, ...], *, wanted: bool, database: str | None) -> None:
        self.records = records
        self.wanted = wanted
        self.database = database
        super().__init__()


class RunEnded(Message):
    """A run has ended while nobody looked at it."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        super().__init__()


class BackupEnded(Message):
    """A backup was made, or could not be."""

    def __init__(self, backup: BackupWork) -> None:
        self.backup = backup
        super().__init__()


class ActionFailed(Message):
    """What the operator asked for could not be done."""

    def __init__(self, verb: str, problem: str) -> None:
        self.verb = verb
        self.problem = problem
        super().__init__()
