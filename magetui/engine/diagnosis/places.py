"""What the repository and the records of runs know of scripts.

Where else the script of an unknown revision is, and which scripts were edited after a run had applied them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.diagnosis.finding import Finding, some
from magetui.engine.project.git_refs import find_in_git
from magetui.engine.project.installed_scripts import find_installed
from magetui.engine.runs.applied_scripts import applied_scripts, offer_sentence, way_back
from magetui.protocol.contents import digest_of

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace

REVISION = re.compile(r"[\w-]+")  # an id that means itself in a pattern


def with_places(workspace: Workspace, unknown: Sequence[str], findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, in which an unknown revision has the places of its script."""
    return [_placed(workspace, unknown, one) if one.code == "unknown-revision" else one for one in findings]


def edited_scripts(workspace: Workspace, current: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding if a script of an applied revision is not what a run applied to this database."""
    applied, by_id = workspace.chain.applied(current), workspace.chain.by_id
    kept = applied_scripts(workspace)
    edited = [kept[name] for name in kept if name in applied and digest_of(by_id[name].path) != kept[name].digest]
    if not edited:
        return
    names, runs = [script.revision for script in edited], sorted({script.run for script in edited})
    scripts = f"The script of {names[0]} was" if len(names) == 1 else f"The scripts of {some(names)} were"
    had = f"run {runs[0]} had" if len(runs) == 1 else "runs had"
    message = f"{scripts} edited after {had} applied {'it' if len(names) == 1 else 'them'} to this database."
    yield Finding("script-edited", "info", message, {"revisions": names, "runs": runs})


def _placed(workspace: Workspace, unknown: Sequence[str], finding: Finding) -> Finding:
    revision, project = finding.facts["current"], workspace.project
    has_repository = project.kind == "alembic" and workspace.untrusted is None and REVISION.fullmatch(revision)
    place = find_in_git(project.folder, revision) if has_repository else None
    installed = find_installed(workspace.python.path, revision) if project.kind == "alembic" else None
    back = way_back(workspace, unknown)
    sentences = [finding.message]
    sentences += [found.sentence for found in (place, installed) if found is not None]
    sentences += [offer_sentence(back)] if back is not None else []
    facts = {
        "commit": None if place is None else place.commit,
        "refs": [] if place is None else list(place.refs),
        "installed": None if installed is None else str(installed.file),
        "kept_by_runs": [] if back is None else sorted({script.run for script in back.scripts}),
    }
    return replace(finding, message=" ".join(sentences), facts={**finding.facts, **facts})
