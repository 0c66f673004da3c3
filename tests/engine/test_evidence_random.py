"""Chains that nobody would write: whatever their operations, the schema tells where the database is.

A few chains, always the same; `EVIDENCE_EXAMPLES` asks for more, and for others each time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from magetui.engine.evidence.evidence import weigh
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import Recording
from magetui.protocol.requests import RecordRequest
from magetui.runner.barrier import Barrier
from magetui.runner.recorder import record
from tests.support.alembic_project import Revision, make_project
from tests.support.databases import PostgresDatabase
from tests.support.readings import read_live
from tests.support.steps import walking

pytestmark = pytest.mark.slow

WANTED = os.environ.get("EVIDENCE_EXAMPLES")
NAMES = ("task", "Task list", "user", "a.b", "x" * 60)
COLUMNS = ("name", "Order", "group", "n1", "n2")
TYPES = ("sa.Integer", "sa.String(20)", "sa.Text", "sa.Boolean", "sa.DateTime", "sa.Numeric(10, 2)", "sa.Float")
ANY_DEFAULT = ("", ", server_default='x'", ", server_default='0'")  # SQLite takes each for each type
DEFAULTS = {
    "sa.Integer": ("'0'", "'17'"),
    "sa.String(20)": ("'x'", "'0'", "'it is'"),
    "sa.Text": ("'x'", "''"),
    "sa.Boolean": ("'0'", "'true'", "sa.false()"),
    "sa.DateTime": ("sa.func.now()", "'2020-01-01'"),
    "sa.Numeric(10, 2)": ("'1.50'", "'0'"),
    "sa.Float": ("'1.0'", "'0.25'"),
}


@dataclass
class Known:
    """What the chain has made so far, so that the next operation is one that can be done."""

    dialect: str
    tables: dict[str, dict[str, str]] = field(default_factory=dict)  # columns, their types and defaults, by table
    enums: list[str] = field(default_factory=list)
    indexes: dict[str, tuple[str, str]] = field(default_factory=dict)  # table and column, by name
    count: int = 0


@st.composite
def chains(draw: st.DrawFn, dialect: str) -> list[Revision]:
    """Revisions of one or two operations, each with its inverse."""
    known = Known(dialect)
    revisions = []
    for number in range(draw(st.integers(2, 8))):
        steps = [draw(operations(known)) for _ in range(draw(st.integers(1, 2)))]
        revisions.append(
            Revision(
                f"rev{number}",
                f"rev{number - 1}" if number else None,
                f"Step {number}",
                "\n".join(up for up, _ in steps),
                "\n".join(down for _, down in reversed(steps)),
            )
        )
    return revisions


@st.composite
def operations(draw: st.DrawFn, known: Known) -> tuple[str, str]:  # noqa: PLR0911, PLR0912 - a case an operation
    """One operation and what undoes it."""
    known.count += 1
    free = [name for name in NAMES if name not in known.tables]
    if not known.tables or (free and draw(st.integers(0, 4)) == 0):
        return _created(known, draw(st.sampled_from(free)))
    table = draw(st.sampled_from(sorted(known.tables)))
    columns = known.tables[table]
    bare = [name for name in columns if (table, name) not in known.indexes.values()]
    new = [name for name in COLUMNS if name not in columns]
    kinds = ["rename-table"] * bool(free) + ["index"] * bool(columns)
    kinds += ["add", "raw-add", "batch-add"] * bool(new) + ["rename", "raw-rename"] * bool(new and bare)
    kinds += ["drop", "unique"] * bool(bare)
    if known.dialect == "postgresql":
        kinds += ["enum"] * bool(new) + ["value"] * bool(known.enums)
    alterable = [name for name in bare if known.dialect == "sqlite" or columns[name] in TYPES]
    kinds += ["alter"] * bool(alterable)
    kind = draw(st.sampled_from(kinds))
    if kind == "enum":
        return _enum_added(known, table, draw(st.sampled_from(new)))
    if kind == "value":
        name = draw(st.sampled_from(known.enums))
        return f"op.execute('ALTER TYPE \"{name}\" ADD VALUE IF NOT EXISTS \\'v{known.count}\\'')", "pass"
    if kind == "rename-table":
        other = draw(st.sampled_from(free))
        known.tables[other] = known.tables.pop(table)
        known.indexes = {n: (other if t == table else t, c) for n, (t, c) in known.indexes.items()}
        return f"op.rename_table({table!r}, {other!r})", f"op.rename_table({other!r}, {table!r})"
    if kind == "index":
        column = draw(st.sampled_from(sorted(columns)))
        name = f"ix {known.count}"
        known.indexes[name] = (table, column)
        unique = draw(st.booleans())
        return (
            f"op.create_index({name!r}, {table!r}, [{column!r}], unique={unique})",
            f"op.drop_index({name!r}, {table!r})",
        )
    if kind in ("add", "raw-add", "batch-add"):
        column, of = draw(st.sampled_from(new)), draw(st.sampled_from(TYPES))
        default = draw(st.sampled_from(_defaults(known, of)))
        columns[column] = f"{of}{default}" if kind != "raw-add" else "sa.Integer"
        added = f"sa.Column({column!r}, {of}{default})"
        if kind == "raw-add":
            quoted = f'op.execute(\'ALTER TABLE "{table}" ADD COLUMN "{column}" INTEGER\')'
            return quoted, f'op.execute(\'ALTER TABLE "{table}" DROP COLUMN "{column}"\')'
        if kind == "batch-add":
            return _in_batch(table, f"add_column({added})"), _in_batch(table, f"drop_column({column!r})")
        return f"op.add_column({table!r}, {added})", f"op.drop_column({table!r}, {column!r})"
    column = draw(st.sampled_from(sorted(alterable if kind == "alter" else bare)))
    if kind in ("rename", "raw-rename"):
        other = draw(st.sampled_from(new))
        known.tables[table] = {(other if name == column else name): of for name, of in columns.items()}
        if kind == "raw-rename":
            raw = f'ALTER TABLE "{table}" RENAME COLUMN'
            return f'op.execute(\'{raw} "{column}" TO "{other}"\')', f'op.execute(\'{raw} "{other}" TO "{column}"\')'
        return (
            _in_batch(table, f"alter_column({column!r}, new_column_name={other!r})"),
            _in_batch(table, f"alter_column({other!r}, new_column_name={column!r})"),
        )
    old = columns[column]
    if kind == "alter":
        altered = draw(st.sampled_from(TYPES))
        before, comma, default = old.partition(", server_default")
        columns[column] = f"{altered}{comma}{default}"
        return (
            _in_batch(table, f"alter_column({column!r}, type_={altered}, postgresql_using='null')"),
            _in_batch(table, f"alter_column({column!r}, type_={before}, postgresql_using='null')"),
        )
    if kind == "unique":
        name = f"uq {known.count}"
        known.indexes[name] = (table, column)  # not to be dropped while it stands
        return (
            _in_batch(table, f"create_unique_constraint({name!r}, [{column!r}])"),
            _in_batch(table, f"drop_constraint({name!r}, type_='unique')"),
        )
    del columns[column]
    return _in_batch(table, f"drop_column({column!r})"), f"op.add_column({table!r}, sa.Column({column!r}, {old}))"


def _created(known: Known, name: str) -> tuple[str, str]:
    made = {"name": "sa.String(20)", "n1": "sa.Integer"}
    other = next(iter(known.tables), None)
    key = f', sa.Column("owner", sa.Integer, sa.ForeignKey({other + ".id"!r}))' if other and "." not in other else ""
    known.tables[name] = made
    parts = "".join(f", sa.Column({column!r}, {of})" for column, of in made.items())
    return f'op.create_table({name!r}, sa.Column("id", sa.Integer, primary_key=True){parts}{key})', (
        f"op.drop_table({name!r})"
    )


def _enum_added(known: Known, table: str, column: str) -> tuple[str, str]:
    name = f"State {known.count}"
    known.enums.append(name)
    kind = f"sa.Enum('on', 'it''s off', name={name!r})"
    known.tables[table][column] = "sa.Integer"  # whoever drops the column and adds it again takes another type
    return (
        f"kind = {kind}\nkind.create(op.get_bind())\nop.add_column({table!r}, sa.Column({column!r}, kind))",
        f"op.drop_column({table!r}, {column!r})\n{kind}.drop(op.get_bind())",
    )


def _defaults(known: Known, of: str) -> tuple[str, ...]:
    if known.dialect == "sqlite":
        return ANY_DEFAULT
    return "", *(f", server_default={default}" for default in DEFAULTS[of])


def _in_batch(table: str, call: str) -> str:
    return f"with op.batch_alter_table({table!r}) as batch:\n    batch.{call}"


WALKS = st.lists(st.integers(0, 7), min_size=1, max_size=3)


def examples(count: int) -> settings:
    return settings(
        max_examples=int(WANTED or count),
        derandomize=WANTED is None,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@examples(25)
@given(chain=chains("sqlite"), walk=WALKS)
def test_sqlite_database_is_found_wherever_upgrades_and_reverts_have_left_it(
    chain: list[Revision], walk: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found_wherever(f"sqlite:///{folder}/data.db", Path(folder), chain, walk)


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
@examples(15)
@given(chain=chains("postgresql"), walk=WALKS)
def test_postgresql_database_is_found_wherever_upgrades_and_reverts_have_left_it(
    pg_database: PostgresDatabase, chain: list[Revision], walk: list[int]
) -> None:
    pg_database.rows("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with tempfile.TemporaryDirectory() as folder:
        found_wherever(pg_database.url, Path(folder), chain, walk)


def found_wherever(url: str, folder: Path, chain: list[Revision], walk: list[int]) -> None:
    project = make_project(folder / "project", chain, url)
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    ids = [revision.id for revision in chain]
    recordings = recorded_here(workspace, ids)
    base = SchemaState(workspace.target.dialect, read_live(workspace)[1])
    lineage = SchemaHistory(workspace.chain, recordings, base)
    with walking(url, project.directory / "migrations") as steps:
        for revision in ids:
            steps.upgrade(revision)
            live, _ = read_live(workspace)
            model = lineage.after[revision]
            assert not model.open
            assert {name: model.facts(name) for name in model.tables if not model.tables[name].open} == {
                name: facts for name, facts in live.tables.items() if not model.tables[name].open
            }
            assert {name: model.enum_facts(name) for name in model.enums} == live.enums
        at = len(ids) - 1
        for wanted in walk:
            to = wanted % len(ids)
            (steps.upgrade if to > at else steps.downgrade)(ids[to])
            at = to
            evidence = weigh(workspace.chain, recordings, read_live(workspace)[0], base)
            assert not evidence.contradicts([ids[at]]), (evidence.nearest, evidence.differences)
            assert evidence.candidate is not None


def recorded_here(workspace: Workspace, revisions: list[str]) -> Mapping[str, Recording]:
    """What the child would answer, without its start."""
    files = tuple(str(workspace.chain.by_id[revision].path) for revision in revisions)
    request = RecordRequest(workspace.project.scripts, workspace.target.dialect, tuple(revisions), files)
    return {recording.revision: recording for recording in record(request, Barrier())}
