"""The data loss of operations on a test's database."""

from __future__ import annotations

import tempfile
from pathlib import Path

from magetui.engine.preview.data_loss import Losses, read_losses
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import Operation
from tests.support.alembic_project import make_project


def preview(url: str, operations: list[Operation], budget_ms: int = 20_000) -> Losses:
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project", (), url)  # a reading asks for the project's version table
        with open_reading(Workspace(Selection(url=url, config=str(project.ini)), {})) as reading:
            return read_losses(reading, operations, budget_ms)


def found(losses: Losses) -> dict[tuple[str, str, str | None, str | None], int | None]:
    assert all(one.exact for one in losses.known), losses
    return {(one.kind, one.table, one.column, one.value): one.rows for one in losses.known}
