"""The changes that a plan makes to the version table.

Branches, merges and `depends_on` make the result more complex than 'the target'. So Alembic's own step and head
classes compute it over the chain that was read as text. In place of a table they change a set and note the statements.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from magetui.engine.errors import RevisionError
from magetui.engine.importing import ALEMBIC, load
from magetui.model.names import literal

if TYPE_CHECKING:
    from alembic.runtime.migration import HeadMaintainer, RevisionStep, StampStep

    from magetui.engine.revisions.graph import Chain
    from magetui.model.plan import ChangeVerb


@dataclass(frozen=True, slots=True)
class VersionChange:
    """The resulting rows, and the statements that write them. `purge` is True if all rows are deleted first."""

    result: tuple[str, ...]
    statements: tuple[str, ...]
    purge: bool = False


def version_change(chain: Chain, verb: ChangeVerb, current: Sequence[str], target: str, table: str) -> VersionChange:
    """Return the change of the version table, named `table` in SQL. Raises `RevisionError` if there is no path."""
    load(*ALEMBIC)
    from alembic.runtime.migration import HeadMaintainer
    from alembic.util import CommandError

    purge = verb == "stamp" and chain.contradicts(current)
    heads = _Heads(() if purge else current, table)
    try:
        for step in _steps(chain, verb, () if purge else tuple(current), target):
            HeadMaintainer.update_to_step(cast("HeadMaintainer", heads), step)
    except (CommandError, AssertionError) as error:
        raise RevisionError(f"There is no path from {', '.join(current) or 'nothing'} to {target}: {error}") from error
    delete_all = (f"DELETE FROM {table}",) if purge else ()
    return VersionChange(tuple(sorted(heads.heads)), (*delete_all, *heads.statements), purge)


def _steps(chain: Chain, verb: ChangeVerb, current: tuple[str, ...], target: str) -> Sequence[RevisionStep | StampStep]:
    from alembic.script import ScriptDirectory

    with tempfile.TemporaryDirectory() as folder:  # Alembic requires a folder, but reads nothing from it
        script = ScriptDirectory(folder)
    script.revision_map = chain.revision_map
    for row in script.revision_map._revision_map.values():
        if row is not None:
            row.module = SimpleNamespace(upgrade=None, downgrade=None)  # type: ignore[attr-defined]
    if verb == "migrate":
        return script._upgrade_revs(target, current)  # type: ignore[arg-type]
    if verb == "rollback":
        return script._downgrade_revs(target, current)  # type: ignore[arg-type]
    return script._stamp_revs(target, current)


class _Heads:
    """Stand in for Alembic's `HeadMaintainer`: keep the heads in a set, and note the statements."""

    def __init__(self, heads: Sequence[str], table: str) -> None:
        self.heads = set(heads)
        self.statements: list[str] = []
        self._table = table

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)
        self.statements.append(f"INSERT INTO {self._table} (version_num) VALUES ({literal(version)})")

    def _delete_version(self, version: str) -> None:
        self.heads.remove(version)
        self.statements.append(f"DELETE FROM {self._table} WHERE version_num = {literal(version)}")

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.remove(from_)
        self.heads.add(to_)
        self.statements.append(
            f"UPDATE {self._table} SET version_num = {literal(to_)} WHERE version_num = {literal(from_)}"
        )
