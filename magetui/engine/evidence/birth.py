"""Whether the application created its tables from its models, with `create_all`, and stamped them.

Such a database has never seen the scripts. Its defaults, names and nulls are those of the models, and differ from the
scripts' by design. What gives it away is the order of columns: ALTER TABLE only appends columns, so a column that a
script adds comes last in a table that the scripts made, and where the model has it in a table made from a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState
    from magetui.engine.evidence.table_state import TableState
    from magetui.engine.schema.facts import Difference

# The differences that a schema made from models has by design. Columns and tables too many are no such difference.
BY_DESIGN = frozenset(
    {"type", "null", "default", "index", "unique", "foreign-key", "check", "primary-key", "enum", "enum-value"}
)
Columns = Mapping[str, tuple[str, ...]]


def made_from_models(state: SchemaState, made: Iterable[TableState], live: Columns) -> tuple[str, ...]:
    """Return the tables that show that the schema was made from models; none if no table does.

    `made` are the states of tables that the scripts make. A script may also move a column: it drops the column and adds
    it again. The order before that is no sign of models either.
    """
    orders: dict[str, list[tuple[str, ...]]] = {}
    for table in (*state.tables.values(), *made):
        known = state.tables.get(table.name)
        if known is not None and not known.open and table.columns.keys() == known.columns.keys():
            orders.setdefault(table.name, []).append(tuple(table.columns))
    named = ((name, scripts) for name, scripts in orders.items() if name in live)
    return tuple(name for name, scripts in named if not any(_can_come_from(order, live[name]) for order in scripts))


def are_by_design(differences: Iterable[Difference]) -> bool:
    """Return True if each difference is of a kind that a schema made from models has.

    A table may be missing, too, if the application has no model for it any more.
    """
    return all(fact.kind in BY_DESIGN or (fact.kind == "table" and missing) for fact, missing in differences)


def _can_come_from(scripts: tuple[str, ...], live: tuple[str, ...]) -> bool:
    """Return True if the columns are in the order of the scripts, but for one that somebody dropped and added again."""
    common = [column for column in live if column in scripts]
    expected = [column for column in scripts if column in live]
    return common == expected or common[:-1] == [column for column in expected if column != common[-1]]
