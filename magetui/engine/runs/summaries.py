"""Summaries of runs that have ended, beside their journals: a list of runs reads them and not thousands of events.

A summary counts only if the journal has the size and the time of change that it had then. A signal may still be added
to the journal of a run that has ended.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from magetui.engine.runs.record import RunRecord
from magetui.protocol import codec
from magetui.protocol.private_files import read_document, write_document

FORMAT = 1  # of the file; another one is written again


def summary_path(journal: Path) -> Path:
    return journal.with_suffix(".summary")


def read(journal: Path) -> RunRecord | None:
    """Return the record in the summary of a journal, or None if there is none of the journal's present state."""
    try:
        document = read_document(summary_path(journal))
        found = journal.lstat()
        if document["format"] != FORMAT or document["journal"] != [found.st_size, found.st_mtime_ns]:
            return None
        record: RunRecord = codec.decode(RunRecord, document["record"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return record if journal.stem == str(record.run) else None


def write(journal: Path, state: tuple[int, int], record: RunRecord) -> None:
    """Write the summary of a journal that was in this state when it was read. Without one, the journal is read."""
    with suppress(OSError):
        journal.lstat()  # somebody may have deleted it
        document = {"format": FORMAT, "journal": list(state), "record": codec.encode(shortened(record))}
        write_document(summary_path(journal), document)


def shortened(record: RunRecord) -> RunRecord:
    """Return the record without what scripts printed and without the last statement, which a list does not show."""
    return replace(record, output=(), statement=None, progress=None)
