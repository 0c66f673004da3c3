"""`diagnose` of many targets: those of the configuration, or each schema of a database that matches a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magetui.cli.output import answer
from magetui.cli.workspaces import open_workspace
from magetui.engine.diagnosis.many import diagnose_each, schemas_like
from magetui.engine.errors import UsageError
from magetui.engine.workspace import Workspace
from magetui.text import many

if TYPE_CHECKING:
    from magetui.config.settings import Settings


def diagnose_many(settings: Settings, values: Mapping[str, Any]) -> int:
    """Print the state of each target in a line. Returns 3 if one is not healthy or was not reached."""
    pattern = values.get("schemas")
    workspaces = _targets(settings) if pattern is None else _schemas(settings, pattern)
    found = diagnose_each(workspaces, values["at_once"])
    answer(settings, lambda: many.many_document(found), lambda text: many.state_lines(found, text))
    return 0 if all(one.healthy for one in found) else 3


def _targets(settings: Settings) -> Mapping[str, Workspace]:
    if settings.selection.target is not None or settings.selection.url is not None:
        raise UsageError("--all is every target of the configuration, so neither --target nor --url goes with it.")
    if not settings.targets:
        raise UsageError("No file names a target. 'magetui config' shows where they are looked for.")
    base = settings.base or settings.selection
    return {target.name: Workspace(target.chosen(base)) for target in settings.targets}


def _schemas(settings: Settings, pattern: str) -> Mapping[str, Workspace]:
    workspace = open_workspace(settings)
    names = schemas_like(workspace, pattern)
    if not names:
        raise UsageError(f"The database has no schema like '{pattern}'.")
    return {name: Workspace(replace(settings.selection, schema=name)) for name in names}
