"""What scripts and servers spell each in their own way is one and the same to whoever compares them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from magetui.engine.evidence import evidence
from magetui.engine.evidence.recording import record_revisions
from magetui.engine.evidence.verdict import Evidence
from magetui.engine.sql.ddl import operations_of
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import AddConstraint, ExecuteSql, Unclear
from tests.support.alembic_project import Revision, linear, make_project, table
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.readings import add_evidence, diagnose, gather_evidence
from tests.support.steps import walking

pytestmark = pytest.mark.slow

ON_18 = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])


def after_each(database: Database, folder: Path, *upgrades: str) -> Iterator[Evidence]:
    """The evidence after each step of a chain whose first revision makes t1."""
    later = (Revision(f"rev{n}", f"rev{n - 1}", "Later", upgrade) for n, upgrade in enumerate(upgrades, start=2))
    project = make_project(folder / "project", (table(1), *later), database.url)
    for number in range(1, len(upgrades) + 2):
        with walking(database.url, project.directory / "migrations") as steps:
            steps.upgrade(f"rev{number}")
        yield gather_evidence(Workspace(Selection(config=str(project.ini), trust=True)))


@ON_18
@pytest.mark.parametrize(
    "altered",
    [
        "ALTER COLUMN name TYPE text",
        "ALTER name TYPE text",
        "ALTER COLUMN name SET DATA TYPE varchar(70)",
        "ALTER name TYPE text USING upper(name), ALTER id TYPE bigint",
        'ALTER name TYPE text COLLATE "C"',
    ],
)
def test_column_is_given_another_type_in_the_scripts_own_sql(
    pg_database: PostgresDatabase, tmp_path: Path, altered: str
) -> None:
    found = after_each(pg_database, tmp_path, f"op.execute({f'ALTER TABLE t1 {altered}'!r})")
    assert [one.fits for one in found] == [(("rev1",),), (("rev2",),)]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
@pytest.mark.parametrize("check", ["(" * 3_000 + "1" + ")" * 3_000, "(("])
def test_sql_that_the_parser_cannot_take_is_unclear(check: str, dialect: str) -> None:
    [made] = operations_of(f"ALTER TABLE task ADD CHECK {check}", dialect)
    assert isinstance(made, Unclear)
    assert "task" in made.words


@pytest.mark.parametrize("constraint", ["CHECK (note <> '')", "FOREIGN KEY (note) REFERENCES note (id)"])
def test_constraint_that_is_not_valid_in_the_scripts_own_sql(constraint: str) -> None:
    sql = f"ALTER TABLE task ADD CONSTRAINT valid UNIQUE (id), ADD CONSTRAINT noted {constraint}"
    made = [*operations_of(sql, "postgresql"), *operations_of(f"{sql} NOT VALID", "postgresql")]
    assert [one.valid for one in made if isinstance(one, AddConstraint)] == [True, True, True, False]


def test_comparison_that_breaks_leaves_the_rest_of_the_diagnosis(
    sqlite_database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AttributeError("nobody thought of this")

    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    with walking(sqlite_database.url, project.directory / "migrations") as steps:
        steps.upgrade("rev1")
    monkeypatch.setattr(evidence, "weigh", broken)
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    found = {finding.code: finding for finding in add_evidence(workspace, diagnose(workspace)).findings}
    assert set(found) == {"behind", "evidence-missing"}
    assert "AttributeError: nobody thought of this" in found["evidence-missing"].message


ON_POSTGRESQL = """
from sqlalchemy.dialects import postgresql as pg
types = [sa.Numeric(10), sa.DECIMAL(12), sa.NCHAR(3), sa.CHAR(), sa.String(10, collation="C"), sa.Text(collation="C"),
    sa.Float(10), sa.TIMESTAMP(timezone=True), pg.TIMESTAMP(precision=3), pg.BIT(3), pg.BIT(varying=True),
    pg.INTERVAL(fields="DAY"), pg.INTERVAL(precision=3), pg.ARRAY(sa.Integer, dimensions=2),
    pg.ARRAY(sa.Numeric(10)), pg.ARRAY(sa.String(5, collation="C")), pg.ARRAY(pg.TIMESTAMP(precision=3)),
    pg.ENUM("a", name="Mood"), pg.ENUM("a", name="public_mood", schema="public"),
    pg.ENUM("a", name="far_mood", schema="far"), pg.ARRAY(pg.ENUM("a", name="Mood"))]
op.execute("CREATE SCHEMA far")
for name in ('"Mood"', "public_mood", "far.far_mood"):
    op.execute(f"CREATE TYPE {name} AS ENUM ('a')")
for number, kind in enumerate(types):
    op.add_column("t1", sa.Column(f"c{number}", kind))
"""
ON_SQLITE = """
for number, kind in enumerate([sa.String(20, collation="NOCASE"), sa.DECIMAL(12), sa.Double(), sa.Numeric(10)]):
    op.add_column("t1", sa.Column(f"c{number}", kind))
"""
RAW_ON_POSTGRESQL = (
    "numeric(10); dec; bpchar(3); varbit; bit; timestamptz(3); time(2); integer[3]; text[][]; interval(3); float(30); "
    'pg_catalog.int4; "char"; integer DEFAULT - 5; text DEFAULT $$it\'s$$; real DEFAULT .123456789'
)
RAW_ON_SQLITE = (
    "int; bigint; varchar(20); nvarchar(5); char(3); boolean DEFAULT true; decimal(10, 2); double precision; clob; "
    "float DEFAULT .5; int DEFAULT +5; datetime DEFAULT CURRENT_TIMESTAMP; blob"
)
DEFAULTS = (
    [("Float", one) for one in ("'.5'", "'-.5'", "'1e-5'", "'0.00001'", "'100000000000000000000'", "'5.'", "'inf'")]
    + [("Float", f"sa.text('{one}')") for one in ("1e3", "-.5", "- 5", "1e-5", "-0.0", "0.1234567890123456789")]
    + [("REAL", one) for one in ("'0.123456789'", "sa.text('0.123456789')")]
    + [("Numeric", one) for one in ("'.5'", "'1e400'", "sa.text('1E3')", "sa.text('1.2300')")]
    + [("Integer", one) for one in ("'+5'", "'00'", "' 5'", "'-0'", "sa.text('-(5)')", "sa.text('CAST(5 AS integer)')")]
    + [("Text", one) for one in ("'1e5'", "'.5'", "'1e999999999'", "'100%'", "'50%% off'", "'x::text'", "'(x)'")]
    + [("Text", f'sa.text("{one}")') for one in ("'100%'", "CAST('x' AS text)", "CAST(NULL AS text)")]
)
DEFAULTS_OF_POSTGRESQL = [
    *(
        ("Text", f'sa.text(r"{one}")')
        for one in (r"E'\n'", r"E'it\'s \x41\u00e9'", "N'x'", "$a$it's$a$", "(('x')::text)")
    ),
    ("Text", """sa.text("'x' COLLATE \\"C\\"")"""),
    *(("Integer", f'sa.text("{one}")') for one in ("0::int", "int '5'", "NULL::integer")),
    ("BigInteger", "sa.text('1e3::bigint')"),
    ("Boolean", """sa.text("bool 'f'")"""),
    ("DateTime", "sa.text('CAST(now() AS timestamp)')"),
    ("DateTime", """sa.text("(now() AT TIME ZONE 'utc')")"""),
]


def added(columns: str) -> str:
    """Each of them in a table of its own, and once more added to that."""
    made = [
        sql
        for number, column in enumerate(columns.split("; "))
        for sql in (f"CREATE TABLE raw{number} (one {column})", f"ALTER TABLE raw{number} ADD COLUMN two {column}")
    ]
    return f"for sql in {made!r}:\n    op.execute(sql)"


def with_defaults(defaults: list[tuple[str, str]]) -> str:
    """A table of columns of those types with those defaults."""
    columns = ", ".join(
        f'sa.Column("c{number}", sa.{kind}, server_default={default})'
        for number, (kind, default) in enumerate(defaults)
    )
    return f'op.create_table("t2", {columns})'


@ON_18
@pytest.mark.parametrize("upgrade", [ON_POSTGRESQL, added(RAW_ON_POSTGRESQL)], ids=["types", "raw types"])
def test_type_is_known_however_it_is_spelled(pg_database: PostgresDatabase, tmp_path: Path, upgrade: str) -> None:
    _, found = after_each(pg_database, tmp_path, upgrade)
    assert found.fits == (("rev2",),), found.differences


@pytest.mark.parametrize("upgrade", [ON_SQLITE, added(RAW_ON_SQLITE)], ids=["types", "raw types"])
def test_declared_type_is_known_on_sqlite(sqlite_database: SqliteDatabase, tmp_path: Path, upgrade: str) -> None:
    _, found = after_each(sqlite_database, tmp_path, upgrade)
    assert found.fits == (("rev2",),), found.differences


@ON_18
def test_default_is_known_by_its_value(pg_database: PostgresDatabase, tmp_path: Path) -> None:
    _, found = after_each(pg_database, tmp_path, with_defaults([*DEFAULTS, *DEFAULTS_OF_POSTGRESQL]))
    assert found.fits == (("rev2",),), found.differences


def test_default_stands_on_sqlite_as_it_was_written(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    _, found = after_each(sqlite_database, tmp_path, with_defaults(DEFAULTS))
    assert found.fits == (("rev2",),), found.differences


@pytest.mark.parametrize("database", [18, "sqlite"], indirect=True)
def test_index_is_of_its_column_whatever_the_order_and_collation(database: Database, tmp_path: Path) -> None:
    collation = "C" if database.dialect == "postgresql" else "NOCASE"
    upgrade = f"""
op.add_column("t1", sa.Column("Order", sa.Text))
op.create_index("ix_1", "t1", [sa.text('name COLLATE "{collation}" DESC')])
op.create_index("ix_2", "t1", [sa.column("Order").collate("{collation}").desc(), sa.column("name")])
op.create_index("ix_3", "t1", [sa.column("Order").desc()])
op.execute('CREATE INDEX ix_4 ON t1 (name COLLATE "{collation}", "Order" DESC)')
"""
    _, found = after_each(database, tmp_path, upgrade)
    assert found.fits == (("rev2",),), found.differences


@pytest.mark.parametrize(
    ("default", "other"), [("'5'", "'6'"), ("'1e3'", "'1e4'"), ("sa.text('-.5')", "sa.text('.5')"), ("'a'", "'b'")]
)
def test_defaults_of_other_values_are_told_apart(
    sqlite_database: SqliteDatabase, tmp_path: Path, default: str, other: str
) -> None:
    kind = "Text" if default == "'a'" else "Float"
    upgrade = 'op.create_table("t2", sa.Column("c", sa.{}, server_default={}))'
    *_, found = after_each(
        sqlite_database, tmp_path, upgrade.format(kind, default), f'op.drop_table("t2")\n{upgrade.format(kind, other)}'
    )
    assert found.fits == (("rev3",),), found.differences


def test_percent_sign_is_recorded_and_shown_as_it_runs(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    upgrade = (
        "op.execute(\"DELETE FROM t1 WHERE name LIKE 'a%'\")\n"
        'op.execute(sa.table("t1", sa.column("name")).delete().where(sa.column("name").like("b%")))'
    )
    project = make_project(
        tmp_path / "project", (table(1), Revision("rev2", "rev1", "Later", upgrade)), pg_database.url
    )
    made = record_revisions(Workspace(Selection(config=str(project.ini), trust=True)), ["rev2"])[
        "rev2"
    ].upgrade.operations
    assert [one.sql for one in made if isinstance(one, ExecuteSql)] == [
        "DELETE FROM t1 WHERE name LIKE 'a%'",
        "DELETE FROM t1 WHERE name LIKE 'b%'",
    ]
    shown = magetui("plan", "migrate", "--config", project.ini).stdout
    assert "LIKE 'a%'" in shown
    assert "LIKE 'b%'" in shown
