"""The questions that the app's workers ask the engine, each in a thread, and the messages with the answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError, RunNotFoundError, StateError
from magetui.tui.messages import (
    ActionFailed,
    ColumnsRead,
    DetailsRead,
    ReadingFailed,
    RunEnded,
    RunsRead,
    StateRead,
    TablesRead,
    TrustWanted,
)

if TYPE_CHECKING:
    from textual.message import Message

    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.schema.snapshot import Reading
    from magetui.engine.workspace import Workspace
    from magetui.model.schema import Table

PAST_RUNS = 20


def state(workspace: Workspace) -> Iterator[Message]:
    """Diagnose, list the tables, then add the evidence, which takes longest and so gets a message of its own."""
    from magetui.engine.diagnosis.diagnosis import add_evidence, diagnose
    from magetui.engine.diagnosis.finding import worth_weighing
    from magetui.engine.schema.snapshot import open_reading

    selection = workspace.selection
    with suppress(MagetuiError):  # there is no project, which the diagnosis says
        if workspace.untrusted is not None:
            yield TrustWanted(selection, workspace.untrusted)
    with open_reading(workspace) as reading:
        try:
            diagnosis = diagnose(reading)
        except MagetuiError as error:
            yield ReadingFailed(selection, error.message)
            return
        checking = worth_weighing(diagnosis.findings) and workspace.untrusted is None
        yield StateRead(selection, diagnosis, workspace.chain, diagnosis, checking=checking)
        yield TablesRead(selection, _tables(reading, diagnosis))
        if diagnosis.target.database is not None:
            yield from _remember(workspace)
        with_evidence = add_evidence(reading, diagnosis)
    if checking:
        yield StateRead(selection, with_evidence, workspace.chain, diagnosis)


def changes(
    workspace: Workspace, seen: Diagnosis | str | None, live_runs: Collection[int], *, complete: bool
) -> Iterator[Message]:
    """Yield what changed since `seen` was read. Yield nothing if nothing changed, unless the reading is `complete`.

    `seen` is a text if the last reading failed. A `complete` reading has the evidence too, which takes longer. Of the
    `live_runs`, each one that has ended gets a message. While a run of this database continues, nothing is read, since
    the run reports its own progress.
    """
    from magetui.engine.diagnosis.diagnosis import Diagnosis, add_evidence, diagnose
    from magetui.engine.runs import follow
    from magetui.engine.schema.snapshot import open_reading

    selection = workspace.selection
    for run in sorted(live_runs):
        with suppress(RunNotFoundError):  # somebody deleted the journal
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
                yield ReadingFailed(selection, error.message)
            return
        is_known = isinstance(seen, Diagnosis) and replace(diagnosis, elapsed_ms=seen.elapsed_ms) == seen
        if is_known and not complete:
            return
        tables = _tables(reading, diagnosis)
        with_evidence = add_evidence(reading, diagnosis)
    yield StateRead(selection, with_evidence, workspace.chain, diagnosis, quiet=True)
    yield TablesRead(selection, tables)


def _remember(workspace: Workspace) -> Iterator[Message]:
    """Add the database to the recent targets. A SQLite file that does not exist is not added."""
    from magetui.engine.target.recents import remember
    from magetui.engine.target.target import database_file

    file = database_file(workspace.target.url)
    if file is not None and not file.exists():
        return
    try:
        remember(workspace.environment, workspace.selection, workspace.target)
    except OSError as error:
        yield ActionFailed("connect", f"Cannot write the recent targets: {error.strerror}.")


def _tables(reading: Reading, diagnosis: Diagnosis) -> tuple[Table, ...] | str:
    """Return the tables, or why they could not be listed. If the diagnosis could not connect, do not try again."""
    try:
        return reading.overview.tables if diagnosis.target.database is not None else "not connected"
    except MagetuiError as error:
        return error.message


def details(workspace: Workspace, schema: str | None, name: str) -> Iterator[Message]:
    from magetui.engine.schema.introspect import describe_table

    try:
        yield DetailsRead(workspace.selection, describe_table(workspace, name, schema))
    except MagetuiError as error:
        yield ActionFailed("schema", error.message)


def columns(workspace: Workspace) -> Iterator[Message]:
    """Read the details of all tables, so that their columns can be searched."""
    from magetui.engine.schema.introspect import describe_tables

    try:
        yield ColumnsRead(workspace.selection, describe_tables(workspace))
    except MagetuiError as error:
        yield ColumnsRead(workspace.selection, error.message)


def past_runs(workspace: Workspace, *, requested: bool) -> Iterator[Message]:
    """Read all recorded runs if `requested`. Otherwise read this database's runs and the live runs, for the log."""
    from magetui.engine.runs.follow import list_runs

    try:
        found = list_runs(workspace.environment, None if requested else PAST_RUNS)
    except StateError as error:
        yield ActionFailed("runs", error.message)
        return
    records, database = found.records, None
    yield from (ActionFailed("runs", sentence) for sentence in found.skipped if requested)
    if not requested:
        with suppress(MagetuiError):  # no database is named: the log shows the runs of every database
            database = workspace.target.redacted
            records = tuple(record for record in records if record.alive or record.database == database)
    yield RunsRead(workspace.selection, records, requested=requested, database=database)
