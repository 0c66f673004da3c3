"""The headers of scripts that compute them: each script is loaded as Alembic loads it, behind the barrier.

The program asks only for the scripts whose text does not tell their header (`engine.revisions.headers`).
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import load_python_file

from magetui.protocol.answers import ScriptHeader
from magetui.protocol.requests import HeadersRequest
from magetui.runner.alembic_config import config_without_credentials
from magetui.runner.barrier import Barrier
from magetui.runner.script_errors import first_line


def script_headers(request: HeadersRequest, barrier: Barrier) -> tuple[ScriptHeader, ...]:
    """Return the header of each file. A script that cannot be loaded has a `problem` and does not affect the others."""
    config = config_without_credentials(request.scripts)
    with EnvironmentContext(config, ScriptDirectory.from_config(config)):  # it prepends to sys.path, too
        return tuple(_header(barrier, file) for file in request.files)


def _header(barrier: Barrier, file: str) -> ScriptHeader:
    path = Path(file)
    with barrier.watching(file) as hits:
        try:
            header = _read(file, load_python_file(str(path.parent), path.name))
        except BaseException as error:  # noqa: BLE001 - whatever a module does when it is imported
            header = ScriptHeader(file, problem=first_line(error).rstrip("."))
    return ScriptHeader(file, problem=hits[0]) if hits else header


def _read(file: str, module: ModuleType) -> ScriptHeader:
    revision = module.revision
    if not isinstance(revision, str):
        raise TypeError(f"its revision is {type(revision).__name__}, and not a text")
    labels = _texts(getattr(module, "branch_labels", None))
    return ScriptHeader(
        file,
        str(revision),
        _texts(getattr(module, "down_revision", None)),
        _texts(getattr(module, "depends_on", None)),
        labels,
    )


def _texts(value: object) -> tuple[str, ...]:
    """Return the texts of a header's value, as Alembic takes them: one text, or a collection of texts."""
    if value is None:
        return ()
    items = (value,) if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]  # else a TypeError, which is reported
    if not all(isinstance(item, str) for item in items):
        raise TypeError("a part of its header is not a text")
    return tuple(str(item) for item in items)
