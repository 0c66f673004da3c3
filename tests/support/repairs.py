"""Carrying out `finish` or `undo` in this process, on a connection as a run has it."""

from __future__ import annotations

from sqlalchemy import text

from magetui.backends.base import WriteHooks
from magetui.engine.repair.plan import RepairVerb
from magetui.engine.workspace import Workspace
from magetui.model.server import Timeouts
from magetui.runner.repair import mend
from tests.support.readings import plan_repair


def repair(workspace: Workspace, verb: RepairVerb) -> tuple[str, ...]:
    """Plan it, and carry it out; returns the current revision that is there then."""
    plan = plan_repair(workspace, verb)
    assert plan.repair is not None
    engine = workspace.backend.writer(workspace.target.url, "test")
    workspace.backend.prepare_writer(engine, Timeouts(), WriteHooks(), "test")
    with engine.connect() as connection:
        mend(connection, workspace.project.scripts, plan.repair, plan.result)
        return tuple(connection.execute(text("select version_num from alembic_version")).scalars())
