"""Incidents in which what the schema seems to say would lead astray: it must not be advised, nor done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.alembic_project import AlembicProject, Revision, make_project
from tests.command import Magetui, Outcome
from tests.databases import Database, PostgresDatabase

ON_POSTGRESQL = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
WITH_INDEX = Revision(
    "rev1",
    None,
    "First",
    'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))\n'
    'op.create_index("ix", "a", ["n"])',
    'op.drop_index("ix", "a")\nop.drop_table("a")',
)
MAKES_B = 'op.create_table("b", sa.Column("id", sa.Integer, primary_key=True))'


class Incident:
    """A project, its database, and what is said and done there."""

    def __init__(self, magetui: Magetui, database: Database, folder: Path, *revisions: Revision) -> None:
        self._magetui = magetui
        self._project: AlembicProject = make_project(folder / "project", revisions, database.url)
        self.database = database

    def __call__(self, *arguments: object) -> Outcome:
        return self._magetui("--config", self._project.ini, *arguments)

    def migrated(self, revision: str) -> None:
        done = self("migrate", "--revision", revision, "--yes")
        assert done.status == 0, done

    def finding(self, code: str) -> Any:
        return next(one for one in self("diagnose", "--json").json["findings"] if one["code"] == code)

    @property
    def codes(self) -> list[str]:
        return [one["code"] for one in self("diagnose", "--json").json["findings"]]


@ON_POSTGRESQL
def test_index_dropped_from_an_old_revisions_table_takes_no_marker_back_over_later_ones(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    asks = f'if not sa.inspect(op.get_bind()).has_table("b"):\n    {MAKES_B}'
    incident = Incident(
        magetui,
        pg_database,
        tmp_path,
        WITH_INDEX,
        Revision("rev2", "rev1", "Asks", asks, 'op.drop_table("b")'),
        Revision("rev3", "rev2", "Column", 'op.add_column("b", sa.Column("n", sa.Integer))'),
    )
    incident.migrated("head")
    pg_database.rows("insert into a select g, g from generate_series(1, 100) g")
    pg_database.rows("drop index ix")
    before = pg_database.content
    finding = incident.finding("evidence-contradicts")
    assert finding["severity"] == "warning"
    assert "The schema is not quite what rev3 should have: missing: index ix on a (n)." in finding["message"]
    assert "finish" not in incident("evidence").stdout
    for verb in ("finish", "undo"):
        refused = incident(verb, "--yes")
        assert refused.status == 4, refused
        assert "Part of rev1 is missing, but the marker says rev3, which stands on it" in refused.stderr
    assert pg_database.content == before


@ON_POSTGRESQL
def test_of_revisions_that_differ_by_a_value_of_a_type_the_marker_is_the_nearest(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    enum = 'sa.Enum("x", "y", name="st")'
    values = "with op.get_context().autocommit_block():\n    op.execute(\"ALTER TYPE st ADD VALUE 'z'\")"
    incident = Incident(
        magetui,
        pg_database,
        tmp_path,
        Revision(
            "rev1",
            None,
            "Type",
            f'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), sa.Column("s", {enum}), '
            'sa.Column("n", sa.Integer))',
        ),
        Revision("rev2", "rev1", "Value", values),
    )
    incident.migrated("rev1")
    pg_database.rows("alter table a drop column n")
    finding = incident.finding("evidence-contradicts")
    assert (finding["severity"], finding["facts"]["nearest"]) == ("warning", ["rev1"])
