"""The SQL of planned steps, rendered by Alembic's offline mode without a database.

Each step is rendered by itself, so that a step that reads live data does not hide the others.
"""

from __future__ import annotations

import io
from typing import Any

from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event

from magetui.model.plan import PlannedStep
from magetui.protocol.requests import RenderRequest
from magetui.runner.alembic_config import alembic_config, naming_options, offline_context
from magetui.runner.script_errors import error_text, first_line


def render(request: RenderRequest) -> list[dict[str, str | None]]:
    """Return for each step `{"sql": text or None, "problem": why it could not be rendered, or None}`."""
    config = alembic_config(request.scripts, None)
    try:
        script = ScriptDirectory.from_config(config)
        script.get_heads()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever loading the scripts raises
        problem = f"The scripts could not be loaded: {error_text(error)}"
        return [{"sql": None, "problem": problem} for _ in request.steps]
    with EnvironmentContext(config, script):
        return [_render_step(script, request, step) for step in request.steps]


def refuse_connections(reason: str = "a preview connects to no database") -> None:
    """Refuse every connection for the rest of this process, so that a script cannot write to another database."""

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError(f"{reason}, and this script opens a connection of its own")

    event.listen(Engine, "do_connect", refuse)


def _render_step(script: ScriptDirectory, request: RenderRequest, step: PlannedStep) -> dict[str, str | None]:
    buffer = io.StringIO()
    context = offline_context(request.dialect, buffer, naming_options(request.scripts))
    try:
        revision = script.get_revision(step.revision)
        function: Any = getattr(revision.module, step.direction)
        with Operations.context(context):
            function(**dict(request.scripts.arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a script raises without a database
        problem = f"Alembic cannot render it without the database: {first_line(error)}"
        if "batch mode" in str(error):
            problem = "Alembic rebuilds the table from the live one, so its SQL cannot be shown in advance."
        return {"sql": None, "problem": problem}
    return {"sql": buffer.getvalue().strip(), "problem": None}
