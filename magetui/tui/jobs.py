"""What the app's workers ask the engine, in threads of their own, and the messages that they bring back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.message import Message

from magetui.tui.messages import ActionFailed, DetailsRead, ReadingFailed, RunEnded, RunsRead, StateRead, TablesRead

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.schema.snapshot import Reading
    from magetui.engine.workspace import Workspace
    from magetui.model.schema import Table

PAST_RUNS = 20


def state(workspace: Workspace) -> Iterator[Message]:
    """Diagnose, list the tables, and weigh what they say of the current revision, which takes longest and is told apart."""
    from magetui.engine.diagnosis.diagnosis import add_evidence, diagnose
    from magetui.engine.errors import MagetuiError
    from magetui.engine.schema.snapshot import open_reading

    chosen = workspace.selection
    with open_reading(workspace) as reading:
        try:
            diagnosis = diagnose(reading)
        except MagetuiError as error:
            yield ReadingFailed(chosen, error.message)
            return
        yield StateRead(chosen, diagnosis, workspace.chain, diagnosis)
        yield TablesRead(chosen, _tables(reading, diagnosis))
        if diagnosis.target.database is not None:
            yield from _remembered(workspace)
        weighed = add_evidence(reading, diagnosis)
    if weighed.findings != diagnosis.findings:
        yield StateRead(chosen, weighed, workspace.chain, diagnosis)


def changes(workspace: Workspace, seen: Diagnosis | str | None, going: Collection[int]) -> Iterator[Message]:
    """What has become another since `seen` was read (a text where nothing could be); nothing where all is as it was.

    Nothing is read while a run of this database goes on, which tells of itself; of the runs `going` it is told that
    they have ended.
    """
    from magetui.engine.diagnosis.diagnosis import add_evidence, diagnose
    from magetui.engine.errors import MagetuiError, RunNotFoundError
    from magetui.engine.runs import follow
    from magetui.engine.schema.snapshot import open_reading

    chosen = workspace.selection
    for run in sorted(going):
        with suppress(RunNotFoundError):  # somebody has deleted its journal: it cannot be told of
            record = follow.read_run(workspace.environment, run)
            if not record.alive:
                yield RunEnded(record)
            elif record.database == workspace.target.redacted:
                return
    with open_reading(workspace) as reading:
        try:
            diagnosis = diagnose(reading)
        except MagetuiError as error:
            if error.message != seen:
                yield ReadingFailed(chosen, error.message)
            return
        if not isinstance(seen, str) and seen is not None and replace(diagnosis, elapsed_ms=seen.elapsed_ms) == seen:
            return
        tables = _tables(reading, diagnosis)
        weighed = add_evidence(reading, diagnosis)
    yield StateRead(chosen, weighed, workspace.chain, diagnosis, quiet=True)
    yield TablesRead(chosen, tables)


def _remembered(workspace: Workspace) -> Iterator[Message]:
    """Keep it among the recent targets; not a file that there is not."""
    from magetui.engine.target.recents import remember
    from magetui.engine.target.target import database_file

    file = database_file(workspace.target.url)
    if file is not None and not file.exists():
        return
    try:
        remember(workspace.environment, workspace.selection, workspace.target)
    except OSError as error:
        yield ActionFailed("connect", f"The recent targets cannot be written: {error.strerror}.")


def _tables(reading: Reading, diagnosis: Diagnosis) -> tuple[Table, ...] | str:
    """The tables, or why there are none to be had; what could not be connected to a moment ago is not asked again."""
    from magetui.engine.errors import MagetuiError

    try:
        return reading.overview.tables if diagnosis.target.database is not None else "not connected"
    except MagetuiError as error:
        return error.message


def details(workspace: Workspace, schema: str | None, name: str) -> Iterator[Message]:
    """Describe one table."""
    from magetui.engine.errors import MagetuiError
    from magetui.engine.schema.introspect import describe_table

    try:
        yield DetailsRead(workspace.selection, describe_table(workspace, name, schema))
    except MagetuiError as error:
        yield ActionFailed("schema", error.message)


def past_runs(workspace: Workspace, *, wanted: bool) -> Iterator[Message]:
    """The runs on record: all where `wanted`, else for the log those of this database and what goes on."""
    from magetui.engine.errors import MagetuiError, StateError
    from magetui.engine.runs.follow import list_runs

    try:
        records = list_runs(workspace.environment, None if wanted else PAST_RUNS)
    except StateError as error:
        yield ActionFailed("runs", error.message)
        return
    database = None
    if not wanted:
        with suppress(MagetuiError):  # no database is named: then they are told of all
            database = workspace.target.redacted
            records = tuple(record for record in records if record.alive or record.database == database)
    yield RunsRead(records, wanted=wanted, database=database)
