"""The diagnosis of many targets, several at once: which of the tenants is wrong is the first question about a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fnmatch import fnmatchcase

from magetui.engine.diagnosis.diagnosis import Diagnosis, add_evidence, diagnose
from magetui.engine.errors import MagetuiError
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.workspace import Workspace


@dataclass(frozen=True, slots=True)
class NamedDiagnosis:
    """The diagnosis of one target, or the `problem` that prevented it, as sentences."""

    name: str
    diagnosis: Diagnosis | None
    problem: str | None = None

    @property
    def healthy(self) -> bool:
        return self.diagnosis is not None and self.diagnosis.healthy

    @property
    def reached(self) -> bool:
        """Return whether the database was reached."""
        return self.diagnosis is not None and self.diagnosis.target.database is not None


def diagnose_each(workspaces: Mapping[str, Workspace], at_once: int) -> tuple[NamedDiagnosis, ...]:
    """Diagnose each workspace, at most `at_once` at the same time. The order of the names stays."""
    found = {one.name: one for one in as_diagnosed(workspaces, at_once)}
    return tuple(found[name] for name in workspaces)


def as_diagnosed(workspaces: Mapping[str, Workspace], at_once: int) -> Iterator[NamedDiagnosis]:
    """Yield each diagnosis when it is made. Whoever stops to ask waits only for those that have begun."""
    pool = ThreadPoolExecutor(max(1, at_once))
    try:
        made = [pool.submit(_diagnosed, name, workspace) for name, workspace in workspaces.items()]
        for one in as_completed(made):
            yield one.result()
    finally:
        pool.shutdown(cancel_futures=True)


def schemas_like(workspace: Workspace, pattern: str) -> tuple[str, ...]:
    """Return the database's schemas whose name matches a pattern such as `tenant_*`, in order.

    Raises `ConnectError` and `MagetuiError` if the database cannot be read.
    """
    from sqlalchemy import inspect

    with workspace.reading() as connection:
        names = inspect(connection).get_schema_names()
    return tuple(sorted(name for name in names if fnmatchcase(name, pattern)))


def _diagnosed(name: str, workspace: Workspace) -> NamedDiagnosis:
    try:
        with open_reading(workspace) as reading:
            return NamedDiagnosis(name, add_evidence(reading, diagnose(reading)))
    except MagetuiError as error:
        return NamedDiagnosis(name, None, error.message)
