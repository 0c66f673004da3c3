"""Messages from workers to the app. A message carries values; its handler decides what is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.project.trust import ProjectCode
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.target.selection import Selection
    from magetui.model.schema import Table, TableDetail


@dataclass
class Answer(Message):
    """Facts that were read from the database of `selection`. The operator may have connected to another one since."""

    selection: Selection


@dataclass
class StateRead(Answer):
    diagnosis: Diagnosis
    chain: Chain
    bare: Diagnosis  # before evidence was added
    quiet: bool = False  # true if the program read without the operator's wish
    checking: bool = False  # true if the evidence is not in yet


@dataclass
class TablesRead(Answer):
    """The tables were listed, or a sentence says why they could not be listed."""

    tables: tuple[Table, ...] | str


@dataclass
class TrustWanted(Answer):
    """The project's code may not run, because the operator has not trusted it as it is."""

    code: ProjectCode


@dataclass
class ReadingFailed(Answer):
    """Nothing could be read: there are no scripts, or no database is named."""

    problem: str


@dataclass
class DetailsRead(Answer):
    details: tuple[TableDetail, ...]


@dataclass
class ColumnsRead(Answer):
    """The columns of all tables were read, or a sentence says why not."""

    details: tuple[TableDetail, ...] | str


@dataclass
class RunsRead(Answer):
    records: tuple[RunRecord, ...]
    requested: bool  # true if the operator asked for the runs screen
    database: str | None  # the redacted URL of the current database, which is how records name it


@dataclass
class RunEnded(Message):
    """A run ended while its screen was not in front."""

    record: RunRecord


@dataclass
class ActionFailed(Message):
    """An action of the operator failed. `verb` is its name in the log."""

    verb: str
    problem: str
