"""A plan as an SQL script, for whoever has to have a change carried out by somebody else.

It is whole or not at all: in one transaction, as far as the scripts do not end it themselves, with the current revision set at
its very end. A script without that would leave a database whose next migration fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from magetui.engine.errors import RefusedError
from magetui.model.plan import Plan, PlanStep
from magetui.text import formats


def sql_script(plan: Plan, steps: Sequence[PlanStep], version_table: str) -> Iterator[str]:
    """The lines of the script. Raises `RefusedError` where a step's SQL cannot be known beforehand.

    `version_table`: its name as it is to be written, with its schema where it has one.
    """
    hidden = next((step for step in steps if step.problem), None)
    if hidden is not None:
        raise RefusedError(
            f"There is no SQL for revision {hidden.revision}: {hidden.problem} 'magetui plan' shows what is known of "
            "the other steps."
        )
    yield f"-- {formats.one_line(plan.summary)}"
    yield f"-- {formats.one_line(plan.url)}"
    yield "BEGIN;"
    if plan.creates_schema is not None:
        yield f'CREATE SCHEMA "{plan.creates_schema}";'
    if not plan.current:
        yield (
            f"CREATE TABLE IF NOT EXISTS {version_table} (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));"
        )
    for step in steps if plan.verb != "stamp" else ():
        yield ""
        yield f"-- {step.direction} {formats.one_line(f'{step.revision}  {step.message}')}"
        yield from (step.sql or "").splitlines()
    yield ""
    if plan.repair is None:  # whose SQL has it already
        yield from (f"{statement};" for statement in plan.version_table_sql)
    yield "COMMIT;"
