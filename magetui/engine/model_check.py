"""Whether a project's models agree with its database: what autogenerate would put into a new script.

`verify` compares the database with the chain, and needs no models. This compares the models with the database, as
`alembic check` does. Only the project's env.py knows the models, so the child process runs it, on connections that
cannot write (`runner.model_check`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError, RefusedError
from magetui.engine.runs.journals import operator
from magetui.engine.schema.snapshot import open_reading
from magetui.protocol import codec
from magetui.protocol.checked import Checked, NewOperation
from magetui.protocol.redaction import clean_json
from magetui.protocol.requests import CheckRequest

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace

CHECK_SECONDS = 600  # a large application is imported, and all its tables are read
NO_READER = (
    "On SQL Server no session can be kept from writing, and env.py might write, so magetui does not check there. "
    "'alembic check' does, without that guard."
)
NO_MODELS = (
    "Mage's chain runs here without Mage's env.py, so Mage's models are not known. 'magetui verify' compares the "
    "database with the chain."
)


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """The operations that lead from the database, at the revisions `current`, to the project's models."""

    current: tuple[str, ...]
    operations: tuple[NewOperation, ...]
    elapsed_ms: int

    @property
    def equal(self) -> bool:
        return not self.operations


def check_models(workspace: Workspace) -> ModelCheck:
    """Run env.py and compare its models with the database, which must be at the head. Nothing is changed.

    Raises `RefusedError` if the comparison is not possible, and `MagetuiError` if env.py fails.
    """
    started = time.monotonic()
    if workspace.located.kind == "mage":
        raise RefusedError(NO_MODELS)
    workspace.require_trust()
    if workspace.backend.name == "mssql":
        raise RefusedError(NO_READER)
    if workspace.python.problem is not None:
        raise RefusedError(f"The models cannot be read by {workspace.python.path}. {workspace.python.problem}")
    current = _current_at_head(workspace)
    request = CheckRequest(workspace.project.scripts, workspace.target.text, operator())
    answer = workspace.ask(request, "be compared with the database", CHECK_SECONDS)
    checked = codec.decode(Checked, clean_json(answer, workspace.clean))
    if checked.refused is not None:
        raise RefusedError(f"{checked.refused} Nothing was changed.")
    if checked.failed is not None:
        where = f" At {checked.where}." if checked.where else ""
        why = " ".join(checked.failed.split()).rstrip(".")
        raise MagetuiError(f"env.py failed: {why}.{where} Nothing was changed.")
    return ModelCheck(current, checked.operations, int((time.monotonic() - started) * 1000))


def _current_at_head(workspace: Workspace) -> tuple[str, ...]:
    """Return the current revisions. Raises `RefusedError` if they are not the heads: Alembic refuses it, too."""
    heads = workspace.chain.resolve_all("heads")
    with open_reading(workspace) as reading:
        table, current = reading.overview.version_table, reading.overview.current
    if table is not None and table.rows is None:
        raise RefusedError(f"The version table cannot be read: {table.problem} So nothing can be compared.")
    if sorted(current) != sorted(heads):
        raise RefusedError(
            f"The database is at {', '.join(current) or 'no revision'}, and not at {', '.join(heads)}. The models "
            "belong to the head, so every pending revision would be a difference. Run 'magetui migrate' first."
        )
    return current
