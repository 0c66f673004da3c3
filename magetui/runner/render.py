"""The SQL of planned steps, rendered by Alembic's offline mode without a database.

Each step is rendered by itself, so that a step that reads live data does not hide the others.
"""

from __future__ import annotations

import io
from typing import Any

from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from magetui.model.plan import PlannedStep
from magetui.protocol.requests import RenderRequest
from magetui.runner.alembic_config import config_without_credentials, naming_options, offline_context, script_files
from magetui.runner.barrier import LOADING_SECONDS, Barrier
from magetui.runner.script_errors import error_text, first_line


def render(request: RenderRequest, barrier: Barrier) -> list[dict[str, str | None]]:
    """Return for each step `{"sql": text or None, "problem": why it could not be rendered, or None}`."""
    config = config_without_credentials(request.scripts)
    with barrier.watching(*map(str, script_files(request.scripts)), seconds=LOADING_SECONDS):
        try:
            script = ScriptDirectory.from_config(config)
            script.get_heads()
        except BaseException as error:  # noqa: BLE001 - whatever loading the scripts raises
            problem = f"The scripts could not be loaded: {error_text(error)}"
            return [{"sql": None, "problem": problem} for _ in request.steps]
    with EnvironmentContext(config, script):
        return [_render_step(script, barrier, request, step) for step in request.steps]


def _render_step(
    script: ScriptDirectory, barrier: Barrier, request: RenderRequest, step: PlannedStep
) -> dict[str, str | None]:
    buffer = io.StringIO()
    context = offline_context(request.dialect, buffer, naming_options(request.scripts))
    revision = script.get_revision(step.revision)
    function: Any = getattr(revision.module, step.direction)
    problem = None
    with barrier.watching(revision.path) as hits, Operations.context(context):
        try:
            function(**dict(request.scripts.arguments))
        except BaseException as error:  # noqa: BLE001 - whatever a script raises without a database
            problem = f"Alembic cannot render it without the database: {first_line(error)}"
            if "batch mode" in str(error):
                problem = "Alembic rebuilds the table from the live one, so its SQL cannot be shown in advance."
    if hits:
        problem = f"It does more than SQL, so its SQL is not all: {hits[0]}."
    if problem is not None:
        return {"sql": None, "problem": problem}
    return {"sql": buffer.getvalue().strip(), "problem": None}
