"""What the version table will say after a plan, found by Alembic's own rules over the chain that was read as text.

Branches, merges and `depends_on` make the answer more than 'the target'. Alembic's step and head classes know it;
here they work on our rows, and instead of a table they change a set and note the statement.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from magetui.engine.errors import RevisionError
from magetui.engine.importing import ALEMBIC, load
from magetui.engine.revisions.graph import Chain
from magetui.model.plan import ChangeVerb

if TYPE_CHECKING:
    from alembic.runtime.migration import HeadMaintainer, RevisionStep, StampStep


@dataclass(frozen=True, slots=True)
class VersionChange:
    """The rows afterwards, the statements that make them so, and whether all rows are replaced first."""

    result: tuple[str, ...]
    statements: tuple[str, ...]
    purge: bool = False


def version_change(chain: Chain, verb: ChangeVerb, current: Sequence[str], target: str, table: str) -> VersionChange:
    """What a verb does to the version table `table` (as it is to be written in SQL).

    Raises `RevisionError` where Alembic finds that there is no way.
    """
    load(*ALEMBIC)
    from alembic.runtime.migration import HeadMaintainer
    from alembic.util import CommandError

    purge = verb == "stamp" and chain.contradicts(current)
    heads = _Heads(() if purge else current, table)
    try:
        for step in _steps(chain, verb, () if purge else tuple(current), target):
            HeadMaintainer.update_to_step(cast("HeadMaintainer", heads), step)  # its rules, on our set
    except (CommandError, AssertionError) as error:
        raise RevisionError(f"There is no way from {', '.join(current) or 'nothing'} to {target}: {error}") from error
    emptied = (f"DELETE FROM {table}",) if purge else ()
    return VersionChange(tuple(sorted(heads.heads)), (*emptied, *heads.statements), purge)


def _steps(chain: Chain, verb: ChangeVerb, current: tuple[str, ...], target: str) -> Sequence[RevisionStep | StampStep]:
    from alembic.script import ScriptDirectory

    with tempfile.TemporaryDirectory() as folder:  # Alembic asks that there be one, and reads nothing from it
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
    """What Alembic's `HeadMaintainer` works on: a set here, and the statements noted."""

    def __init__(self, heads: Sequence[str], table: str) -> None:
        self.heads = set(heads)
        self.statements: list[str] = []
        self._table = table

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)
        self.statements.append(f"INSERT INTO {self._table} (version_num) VALUES ('{version}')")

    def _delete_version(self, version: str) -> None:
        self.heads.remove(version)
        self.statements.append(f"DELETE FROM {self._table} WHERE version_num = '{version}'")

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.remove(from_)
        self.heads.add(to_)
        self.statements.append(f"UPDATE {self._table} SET version_num = '{to_}' WHERE version_num = '{from_}'")
