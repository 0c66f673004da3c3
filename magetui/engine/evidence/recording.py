"""What the chain's revisions do, both ways, as typed operations; asked of the child, and kept by the scripts' content.

A kept answer is as good as a new one while the script's file, the dialect and this program are the same: a module that
a script imports is taken not to change what the script does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magetui import __version__
from magetui.engine.workspace import Workspace
from magetui.model.operations import (
    AddConstraint,
    AlterColumn,
    OnTable,
    Operation,
    Other,
    RebuildTable,
    Recorded,
    decode,
)
from magetui.protocol.requests import RecordRequest

if TYPE_CHECKING:
    from magetui.model.plan import Plan

Direction = str  # 'upgrade' or 'downgrade'
Answer = dict[str, Any]  # of the child about one revision, 'upgrade' and 'downgrade', and the digest of its 'script'


@dataclass(frozen=True, slots=True)
class Recording:
    """What one revision does, each way."""

    revision: str
    upgrade: Recorded
    downgrade: Recorded

    def recorded(self, direction: Direction) -> Recorded:
        return self.upgrade if direction == "upgrade" else self.downgrade

    def operations(self, direction: Direction) -> tuple[Operation, ...]:
        return self.recorded(direction).operations


def record_revisions(workspace: Workspace, revisions: Iterable[str]) -> Mapping[str, Recording]:
    """The recordings of those revisions, by id. Needs no database, only its dialect.

    Raises `MagetuiError` where the scripts cannot be asked.
    """
    known = workspace.chain.by_id
    digests = {revision: hashlib.sha256(known[revision].path.read_bytes()).hexdigest() for revision in revisions}
    file = _kept_file(workspace)
    kept = _read(file)
    missing = tuple(one for one, digest in digests.items() if one not in kept or kept[one]["script"] != digest)
    if missing:
        scripts = tuple(str(known[revision].path) for revision in missing)
        request = RecordRequest(workspace.project.scripts, workspace.target.dialect, missing, scripts)
        answers = _cleaned(workspace.ask(request, "say what they do"), workspace.clean)
        kept = {one: answer for one, answer in kept.items() if one in known}
        kept.update((one, {"script": digests[one], **answer}) for one, answer in answers.items())
        with suppress(OSError):  # then it is asked again next time
            _keep(file, {one: answer for one, answer in kept.items() if not _failed(answer)})
    return {
        one: Recording(one, *(_as_done(decode(kept[one][way])) for way in ("upgrade", "downgrade"))) for one in digests
    }


def _as_done(recorded: Recorded) -> Recorded:
    """Without the constraints that Alembic loses: a batch operation on SQLite leaves out, and says nothing, each that
    is on a column by the name that the same batch gives it (alembic.operations.batch, `_transfer_elements_to_new_table`
    looks for it among the table's columns as they were). Each operation keeps its place.
    """
    table: tuple[str, str | None] | None = None
    renamed: set[str] = set()
    made: list[Operation] = []
    for one in recorded.operations:
        if isinstance(one, RebuildTable):
            table, renamed = (one.table, one.schema), set()
        elif not isinstance(one, OnTable) or (one.table, one.schema) != table:
            table = None if isinstance(one, OnTable) else table
        elif isinstance(one, AlterColumn) and one.new_name not in (None, one.column):
            renamed.add(one.new_name or "")
        elif isinstance(one, AddConstraint):
            columns = one.columns if one.foreign_key is None else one.foreign_key.columns
            if not renamed.isdisjoint(columns):
                made.append(Other(f"{one.name or one.constraint} constraint, lost where its batch renames the column"))
                continue
        made.append(one)
    return replace(recorded, operations=tuple(made))


def recorded_steps(workspace: Workspace, plan: Plan) -> list[tuple[str, Direction, Recorded]]:
    """What each step of a plan does that runs something: its revision, direction, and operations. Raises as above."""
    if plan.repair is not None:
        made = Recorded(tuple(step.operation for step in plan.repair.steps))
        return [(plan.repair.revision, plan.verb, made)]
    steps = [step for step in plan.steps if step.direction != "stamp"]
    recordings = record_revisions(workspace, [step.revision for step in steps])
    return [(step.revision, step.direction, recordings[step.revision].recorded(step.direction)) for step in steps]


def _cleaned(said: Any, clean: Callable[[str], str]) -> Any:
    """Without the credentials that a script may have put into its SQL or an error's text."""
    if isinstance(said, str):
        return clean(said)
    if isinstance(said, dict):
        return {key: _cleaned(value, clean) for key, value in said.items()}
    return [_cleaned(one, clean) for one in said] if isinstance(said, list) else said


def _failed(answer: Answer) -> bool:
    """Whether a script could not be followed: what it lacked may be there next time."""
    return any("cannot be" in str(answer[way]["undecidable"]) for way in ("upgrade", "downgrade"))


def _kept_file(workspace: Workspace) -> Path:
    """One for a project's scripts and a dialect: a file for each script would take longer to read than all the rest."""
    base = workspace.environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    scripts = workspace.project.scripts
    whose = [__version__, workspace.target.dialect, scripts.script_location, *scripts.version_locations]
    whose += [str(said) for said in (scripts.arguments, scripts.naming) if said]
    name = hashlib.sha256("\n".join(whose).encode()).hexdigest()
    return Path(base) / "magetui" / "operations" / f"{name}.json"


def _read(file: Path) -> dict[str, Answer]:
    try:
        answers: dict[str, Answer] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return answers


def _keep(file: Path, answers: Mapping[str, Answer]) -> None:
    """Whole or not at all, and for the owner alone: a script's SQL may hold what is not everybody's business."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as made:
        json.dump(answers, made)
    unfinished.replace(file)
