"""The scripts that runs applied to a database, so that the way back stays open when their release is gone.

A script is taken from the newest run on the same database that completed it. Its text must have the digest that the
plan of that run had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.directories import cache_directory
from magetui.engine.errors import MagetuiError
from magetui.engine.revisions.headers import Revision, read_script
from magetui.engine.runs.follow import read_run
from magetui.engine.runs.journals import journal_path, run_numbers, runs_directory
from magetui.engine.runs.kept_scripts import AppliedScript, read_scripts
from magetui.protocol.contents import digest_of
from magetui.protocol.private_files import make_private

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace


def applied_scripts(workspace: Workspace) -> dict[str, AppliedScript]:
    """Return the scripts by revision: each from the newest run that completed it.

    Only runs on this database count that kept the current revision in this version table.
    """
    environment, target = workspace.environment, workspace.target
    place = target.redacted, workspace.project.scripts.version_name
    directory, found = runs_directory(environment), dict[str, AppliedScript]()
    for run in reversed(run_numbers(directory)):
        with suppress(OSError, ValueError, RecursionError, MagetuiError):  # unreadable: as if it were not kept
            kept = read_scripts(journal_path(directory, run))
            if kept is None or (kept.database, kept.version_table) != place:
                continue
            record = read_run(environment, run)
            if record.outcome == "lost":  # what it committed is not known
                continue
            done = {step.revision for step in record.steps if step.state == "done"}
            for script in kept.scripts:
                intact = hashlib.sha256(_content(script)).hexdigest() == script.digest
                if intact and script.revision in done:
                    found.setdefault(script.revision, replace(script, run=run))
    return found


@dataclass(frozen=True, slots=True)
class WayBack:
    """The scripts that lead from unknown revisions to revisions of the chain, in a folder of their own."""

    folder: Path
    scripts: tuple[AppliedScript, ...]
    onto: tuple[str, ...]  # the revisions of the chain


def way_back(workspace: Workspace, unknown: Iterable[str]) -> WayBack | None:
    """Return the way from the unknown revisions to the chain.

    None if a script on it was not kept, or if the cache, which gets the files, cannot be written.
    """
    try:
        return _way_back(workspace, unknown)
    except OSError:
        return None


def _way_back(workspace: Workspace, unknown: Iterable[str]) -> WayBack | None:
    kept, chain = applied_scripts(workspace), workspace.chain
    folder = cache_directory(workspace.environment) / "applied"
    needed: dict[str, AppliedScript] = {}
    onto: dict[str, None] = {}
    waiting = list(unknown)
    while waiting:
        revision = waiting.pop()
        if revision in chain.by_id:
            onto[revision] = None
        if revision in chain.by_id or revision in needed:
            continue
        if revision not in kept:
            return None
        header = read_script(_written(folder / kept[revision].digest, kept[revision]))
        if not isinstance(header, Revision) or header.revision != revision:
            return None
        needed[revision] = kept[revision]
        waiting += header.parents
    name = hashlib.sha256("\n".join(sorted(script.digest for script in needed.values())).encode()).hexdigest()
    for script in needed.values():
        _written(folder / name, script)
    return WayBack(folder / name, tuple(needed.values()), tuple(onto))


def kept_sentence(scripts: Sequence[AppliedScript]) -> str:
    """Return where the scripts come from, as a sentence for the operator."""
    names = ", ".join(script.revision for script in scripts)
    runs = sorted({script.run for script in scripts})
    where = f"run {runs[0]}" if len(runs) == 1 else f"the runs {', '.join(map(str, runs))}"
    is_one = len(scripts) == 1
    return (
        f"The project does not have {names} any more. {'Its script is' if is_one else 'Their scripts are'} taken from "
        f"the record of {where}, as {'it was' if is_one else 'they were'} applied to this database."
    )


def offer_sentence(back: WayBack) -> str:
    """Return that a rollback can use the scripts, as a sentence for the operator."""
    runs = sorted({script.run for script in back.scripts})
    who = f"Run {runs[0]}, which applied it, kept" if len(runs) == 1 else "The runs that applied it kept"
    rolled = f"{who} the scripts, so it can be rolled back without that version"
    if len(back.onto) > 1:  # no single revision undoes the unknown ones alone
        return f"{rolled}."
    return f"{rolled}: 'magetui rollback --revision {back.onto[0] if back.onto else 'base'}'."


def _content(script: AppliedScript) -> bytes:
    return script.text.encode("utf-8", "surrogateescape")


def _written(folder: Path, script: AppliedScript) -> Path:
    """Return the script as a file in the folder, with the content that was applied."""
    path = folder / script.name
    make_private(folder)
    if not path.exists() or digest_of(path) != script.digest:
        path.unlink(missing_ok=True)
        path.write_bytes(_content(script))
    return path
