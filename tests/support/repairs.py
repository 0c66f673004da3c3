"""Run `finish` or `undo` in this process, on a connection like that of a run."""

from __future__ import annotations

from sqlalchemy import text

from magetui.backends.base import WriteHooks
from magetui.engine.repair.plan import RepairVerb
from magetui.engine.workspace import Workspace
from magetui.model.server import Timeouts
from magetui.runner.repair import mend
from tests.support.readings import plan_repair


def repair(workspace: Workspace, verb: RepairVerb) -> tuple[str, ...]:
    """Plan the repair and run it. Return the current revisions after it."""
    plan = plan_repair(workspace, verb)
    assert plan.repair is not None
    engine = workspace.backend.writer(workspace.target.url, "test")
    workspace.backend.prepare_writer(engine, Timeouts(), WriteHooks(), "test")
    with engine.connect() as connection:
        mend(connection, workspace.project.scripts, plan.repair, plan.result)
        return tuple(connection.execute(text("select version_num from alembic_version")).scalars())
