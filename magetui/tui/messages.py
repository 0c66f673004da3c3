"""Messages from workers to the app. A message carries values; its handler decides what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.target.selection import Selection
    from magetui.model.schema import Table, TableDetail
    from magetui.tui.backup_job import BackupJob


class Answer(Message):
    """Facts that were read from the database of `selection`. The operator may have connected to another one since."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        super().__init__()


class StateRead(Answer):
    """The database's state and the scripts were read.

    `bare` is the diagnosis before evidence was added. `quiet` is true if the program read without the operator's wish.
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
    """The tables were listed, or a sentence says why they could not be listed."""

    def __init__(self, selection: Selection, tables: tuple[Table, ...] | str) -> None:
        self.tables = tables
        super().__init__(selection)


class ReadingFailed(Answer):
    """Nothing could be read: there are no scripts, or no database is named."""

    def __init__(self, selection: Selection, problem: str) -> None:
        self.problem = problem
        super().__init__(selection)


class DetailsRead(Answer):
    """The details of a table were read."""

    def __init__(self, selection: Selection, details: tuple[TableDetail, ...]) -> None:
        super().__init__(selection)
        self.details = details


class RunsRead(Message):
    """The recorded runs were read. `requested` is true if the operator asked for the runs screen.

    `database` is the redacted URL of the current database, which is how records name it.
    """

    def __init__(self, records: tuple[RunRecord, ...], *, requested: bool, database: str | None) -> None:
        self.records = records
        self.requested = requested
        self.database = database
        super().__init__()


class RunEnded(Message):
    """A run ended while its screen was not in front."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        super().__init__()


class BackupEnded(Message):
    """A backup was made, or it failed."""

    def __init__(self, backup: BackupJob) -> None:
        self.backup = backup
        super().__init__()


class ActionFailed(Message):
    """An action of the operator failed. `verb` is its name in the log."""

    def __init__(self, verb: str, problem: str) -> None:
        self.verb = verb
        self.problem = problem
        super().__init__()
