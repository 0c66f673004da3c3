"""A plan as an SQL script, for an operator who must hand the change to somebody else.

The script runs in one transaction, as far as the migration scripts do not end the transaction themselves. It sets the
current revision at its end, because the next migration would fail without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from magetui.engine.errors import RefusedError
from magetui.model.names import quoted
from magetui.text import formats

if TYPE_CHECKING:
    from magetui.model.plan import Plan, PlanStep


def sql_script(plan: Plan, steps: Sequence[PlanStep], version_table: str, primary_key: str) -> Iterator[str]:
    """Yield the lines of the script. The last two arguments are names as SQL: of the table, and of its primary key.

    Raises `RefusedError` if the SQL of a step cannot be known in advance.
    """
    hidden = next((step for step in steps if step.problem), None)
    if hidden is not None:
        raise RefusedError(
            f"There is no SQL for revision {hidden.revision}: {hidden.problem} 'magetui plan' shows the SQL of the "
            "other steps."
        )
    yield f"-- {formats.one_line(plan.summary)}"
    yield f"-- {formats.one_line(plan.url)}"
    yield "BEGIN;"
    if plan.creates_schema is not None:
        yield f"CREATE SCHEMA {quoted(plan.creates_schema)};"
    if not plan.current:
        yield (
            f"CREATE TABLE IF NOT EXISTS {version_table} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {primary_key} PRIMARY KEY (version_num));"
        )
    for step in steps if plan.verb != "stamp" else ():
        yield ""
        yield f"-- {step.direction} {formats.one_line(f'{step.revision}  {step.message}')}"
        yield from (step.sql or "").splitlines()
    yield ""
    if plan.repair is None:  # the SQL of a repair sets the current revision itself
        yield from (f"{statement};" for statement in plan.version_table_sql)
    yield "COMMIT;"
