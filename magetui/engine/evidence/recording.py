"""The operations of the chain's revisions, in both directions. The child process records them, and a cache keeps them.

A cached recording is valid while the content of the script, the dialect and the version of this program are the same.
A module that a script imports is assumed not to change what the script does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magetui import __version__
from magetui.engine.directories import cache_directory
from magetui.model import operations as ops
from magetui.model.operations import Recorded, Recording
from magetui.model.schema import SchemaSketch
from magetui.protocol import codec
from magetui.protocol.contents import digest_of
from magetui.protocol.private_files import read_document, write_document
from magetui.protocol.redaction import clean_json

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace
    from magetui.protocol.requests import RecordRequest

Sketches = Sequence[tuple[int, SchemaSketch]]
Direction = str  # 'upgrade' or 'downgrade'
RECORDER = "5"  # changes when the recorder finds more in the same script


@dataclass(frozen=True, slots=True)
class _CacheEntry:
    """A recording, and the SHA-256 digest of the script that it was made from."""

    script: str
    recording: Recording


@dataclass(frozen=True, slots=True)
class CacheFile:
    """A cache for a project's scripts and a dialect; an entry is decoded when it is asked for."""

    format: int
    entries: Mapping[str, Any]


def record_revisions(workspace: Workspace, revisions: Iterable[str]) -> Mapping[str, Recording]:
    """Return the recordings of the revisions by id. This needs no database, only its dialect.

    Raises `MagetuiError` if the child process cannot read the scripts.
    """
    chain = workspace.chain.by_id
    digests = {revision: digest_of(chain[revision].path) for revision in revisions}
    file = cache_file(workspace)
    entries = read_cache(file)
    cached = {revision: _cached_recording(entries.get(revision), digest) for revision, digest in digests.items()}
    recordings = {revision: recording for revision, recording in cached.items() if recording is not None}
    missing = tuple(revision for revision in digests if revision not in recordings)
    if missing:
        made = {recording.revision: recording for recording in _ask_child(workspace, missing)}
        fresh = {
            revision: codec.encode(_CacheEntry(digests[revision], recording))
            for revision, recording in made.items()
            # If a script could not be followed, what it lacked may be installed next time.
            if not any("cannot be" in (way.undecidable or "") for way in (recording.upgrade, recording.downgrade))
        }
        kept = {revision: entry for revision, entry in entries.items() if revision in chain and revision not in made}
        with suppress(OSError):  # then the child is asked again next time
            write_document(file, codec.encode(CacheFile(codec.FORMAT, kept | fresh)))
        recordings |= made
    return {revision: _with_lost_constraints_marked(recordings[revision]) for revision in digests}


def record_with_sketches(
    workspace: Workspace, ask: Callable[[RecordRequest], Any], revision: str, sketches: Sketches
) -> Recording:
    """Return a new recording of a revision that inspects the schema. Raises as `record_revisions`."""
    [recording] = _recordings(workspace, ask(_request(workspace, (revision,), sketches)))
    return recording


def _ask_child(workspace: Workspace, revisions: tuple[str, ...]) -> tuple[Recording, ...]:
    return _recordings(workspace, workspace.ask(_request(workspace, revisions), "say what they do"))


def _request(workspace: Workspace, revisions: tuple[str, ...], sketches: Sketches = ()) -> RecordRequest:
    from magetui.protocol.requests import RecordRequest

    files = tuple(str(workspace.chain.by_id[revision].path) for revision in revisions)
    return RecordRequest(workspace.project.scripts, workspace.target.dialect, revisions, files, tuple(sketches))


def _recordings(workspace: Workspace, answer: Any) -> tuple[Recording, ...]:
    """Return new recordings without the credentials that a script may have put into its SQL or an error message."""
    recordings: tuple[Recording, ...] = codec.decode(tuple[Recording, ...], clean_json(answer, workspace.clean))
    return recordings


# -- constraints that Alembic loses


def _with_lost_constraints_marked(recording: Recording) -> Recording:
    return replace(recording, upgrade=marked(recording.upgrade), downgrade=marked(recording.downgrade))


def marked(recorded: Recorded) -> Recorded:
    """Replace the constraints that Alembic loses by `Other`, so that each operation keeps its index.

    On SQLite a batch operation silently omits a constraint on a column that the same batch renames, if the constraint
    uses the new name: `_transfer_elements_to_new_table` in `alembic.operations.batch` looks for that name among the
    columns that the table had before.
    """
    table: tuple[str, str | None] | None = None
    renamed: set[str] = set()
    operations: list[ops.Operation] = []
    for operation in recorded.operations:
        if isinstance(operation, ops.RebuildTable):
            table, renamed = (operation.table, operation.schema), set()
        elif not isinstance(operation, ops.OnTable) or (operation.table, operation.schema) != table:
            table = None if isinstance(operation, ops.OnTable) else table
        elif isinstance(operation, ops.AlterColumn) and operation.new_name not in (None, operation.column):
            renamed.add(operation.new_name or "")
        elif isinstance(operation, ops.AddConstraint):
            key = operation.foreign_key
            if not renamed.isdisjoint(operation.columns if key is None else key.columns):
                name = operation.name or operation.constraint
                operations.append(ops.Other(f"{name} constraint, lost where its batch renames the column"))
                continue
        operations.append(operation)
    return replace(recorded, operations=tuple(operations))


# -- the cache


def cache_file(workspace: Workspace, kind: str = "revisions") -> Path:
    """Return the path of a cache: one file for all scripts, because reading a file for each takes longer."""
    scripts = workspace.project.scripts
    key = [__version__, str(codec.FORMAT), RECORDER, kind, workspace.target.dialect, scripts.script_location]
    key += [*scripts.version_locations, *(str(option) for option in (scripts.arguments, scripts.naming) if option)]
    name = hashlib.sha256("\n".join(key).encode()).hexdigest()
    return cache_directory(workspace.environment) / "operations" / f"{name}.json"


def read_cache(file: Path) -> Mapping[str, Any]:
    """Return the entries in the file. An unreadable file, or one of another format, has none: it is rebuilt."""
    try:
        cache = codec.decode(CacheFile, read_document(file))
    except (OSError, ValueError, RecursionError):  # also not UTF-8, no JSON, or another shape
        return {}
    return cache.entries if cache.format == codec.FORMAT else {}


def _cached_recording(values: Any, digest: str) -> Recording | None:
    """Return the recording in an entry, or None if it has another shape or the script has changed since."""
    try:
        entry = codec.decode(_CacheEntry, values)
    except codec.CodecError:
        return None
    return entry.recording if entry.script == digest else None
