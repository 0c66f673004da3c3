"""A database that Alembic migrated is accused of nothing, whatever its scripts do on the way.

Each chain does what a public application does. The schema says after each revision that the database may be at it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.evidence.summary import summarize
from tests.support.alembic_project import Revision, two_heads
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.healthy import assert_healthy, chain_of, walk

BUILDS = """
op.create_table("build", sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("set_id", sa.Integer, sa.ForeignKey("buildset.id")), sa.Column("name", sa.String(255), unique=True),
    sa.Column("score", sa.Integer))
op.create_index("build_name_set", "build", ["name", "set_id"])
"""
SETS = 'op.create_table("buildset", sa.Column("id", sa.Integer, primary_key=True), sa.Column("zone", sa.String(9)))'
LONG = "a_name_that_goes_on_and_on_until_it_is_longer_than_postgresql_keeps_it"
LONGER = "наименование_таблицы_длиннее_чем_хранит"  # 40 characters, 77 bytes
POSTGRESQL = {
    "a table is renamed, and what had its name is dropped": chain_of(
        SETS,
        BUILDS,
        'op.rename_table("build", "zuul_build")\nop.drop_constraint("build_name_key", "zuul_build", type_="unique")\n'
        'op.drop_index("build_name_set", "zuul_build")',
        'op.drop_constraint("build_set_id_fkey", "zuul_build", type_="foreignkey")',
        f'{BUILDS}\nop.drop_constraint("build_pkey1", "build")',
        'op.drop_table("zuul_build")',
    ),
    "a table is rebuilt under another name and renamed back": chain_of(
        SETS,
        BUILDS,
        'op.execute("CREATE TABLE build_new (id serial PRIMARY KEY, set_id int REFERENCES buildset, name text UNIQUE)")'
        '\nop.drop_table("build")\nop.rename_table("build_new", "build")',
        'op.drop_constraint("build_new_name_key", "build")\nop.drop_constraint("build_new_set_id_fkey", "build")\n'
        'op.create_unique_constraint(None, "build", ["name"])\nop.drop_constraint("build_name_key", "build")',
    ),
    "a new id column takes the name of the old one": chain_of(
        SETS,
        BUILDS,
        'op.add_column("buildset", sa.Column("uid", sa.String(36), server_default="x", nullable=False))\n'
        'op.add_column("build", sa.Column("set_uid", sa.String(36)))\n'
        'op.drop_constraint("build_set_id_fkey", "build")\nop.drop_column("build", "set_id")\n'
        'op.drop_constraint("buildset_pkey", "buildset")\nop.drop_column("buildset", "id")\n'
        'op.alter_column("buildset", "uid", new_column_name="id", server_default=None)\n'
        'op.alter_column("build", "set_uid", new_column_name="set_id")\n'
        'op.create_primary_key("buildset_pkey", "buildset", ["id"])\n'
        'op.create_foreign_key(None, "build", "buildset", ["set_id"], ["id"])',
        'op.drop_constraint("build_set_id_fkey", "build")',
    ),
    "a check goes with the column that it is about": chain_of(
        'op.create_table("t", sa.Column("id", sa.Integer), sa.Column("age", sa.Integer),\n'
        '    sa.CheckConstraint("age > 0", name="ck_age"))',
        'op.alter_column("t", "age", new_column_name="years")',
        'op.drop_column("t", "years")',
    ),
    "names are longer than the server keeps them": chain_of(
        f'op.create_table("{LONG}", sa.Column("id", sa.Integer, primary_key=True),\n'
        f'    sa.Column("{LONG}_column", sa.Integer, unique=True))',
        f'op.execute("ALTER TABLE {LONG} ADD COLUMN extra int CONSTRAINT {LONG}_is_small CHECK (extra < 9)")',
        f'op.create_table("{LONGER}", sa.Column("id", sa.Integer, primary_key=True))\n'
        f'op.create_index("индекс_{LONGER}", "{LONGER}", ["id"])',
        f'op.drop_constraint("{LONG[:29]}_{LONG[:29]}_key", "{LONG[:63]}")',
        f'op.drop_table("{LONGER}")',
    ),
    "a type is made again with other values": chain_of(
        'op.create_table("t", sa.Column("id", sa.Integer), sa.Column("state", sa.Enum("on", "off", name="state")))',
        'op.execute("ALTER TYPE state RENAME TO state_old")\n'
        'sa.Enum("on", "off", "idle", name="state").create(op.get_bind())\n'
        'op.execute("ALTER TABLE t ALTER COLUMN state TYPE state USING state::text::state")\n'
        'op.execute("DROP TYPE state_old")',
        'op.execute("ALTER TABLE t ALTER COLUMN state TYPE text")\nop.execute("DROP TYPE state")\n'
        'sa.Enum("on", name="state").create(op.get_bind(), checkfirst=True)',
    ),
    "a type is made only if it is missing": chain_of(
        'sa.Enum("on", "off", name="state").create(op.get_bind())',
        'op.create_table("t", sa.Column("id", sa.Integer))',
        'sa.Enum("on", "idle", name="state").create(op.get_bind(), checkfirst=True)\n'
        'op.add_column("t", sa.Column("state", sa.Enum("on", "idle", name="state")))',
    ),
    "a check comes with a type that is not native": chain_of(
        'op.create_table("t", sa.Column("id", sa.Integer),\n'
        '    sa.Column("kind", sa.Enum("LLM", "HUMAN", name="kinds", native_enum=False, create_constraint=True)))',
        'op.drop_constraint("kinds", "t", type_="check")',
        "op.create_check_constraint(\"kinds\", \"t\", \"kind IN ('LLM', 'HUMAN', 'CODE')\")",
        'op.add_column("t", sa.Column("way", sa.Enum("A", name="ways", native_enum=False, create_constraint=True)))',
        'op.drop_constraint("ways", "t", type_="check")\nop.create_check_constraint("ways", "t", "way <> \'\'")',
    ),
    "a revision is empty beside one that is not": chain_of(
        'op.create_table("t", sa.Column("id", sa.Integer))',
        "pass",
        'sa.Enum("on", name="state").create(op.get_bind())\nop.add_column("t", sa.Column("b", sa.Integer))',
        "pass",
    ),
}
SQLITE = {
    "a batch operation copies a table with checks": chain_of(
        'op.create_table("t", sa.Column("id", sa.Integer), sa.Column("age", sa.Integer),\n'
        '    sa.Column("kind", sa.Enum("A", "B", name="kinds", create_constraint=True)),\n'
        '    sa.CheckConstraint("age > 0", name="ck_age"))',
        'with op.batch_alter_table("t") as batch:\n    batch.alter_column("age", nullable=False)',
        'with op.batch_alter_table("t", recreate="always") as batch:\n'
        '    batch.create_check_constraint("ck_id", "id > 0")',
    ),
    "a default is the moment at which the script ran": chain_of(
        "import datetime\n"
        'op.create_table("t", sa.Column("at", sa.DateTime, server_default=str(datetime.datetime.now())))'
    ),
    "a script catches that SQLite alters no constraint": chain_of(
        'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Integer))\n'
        'try:\n    op.create_foreign_key("fk_b", "a", "a", ["b"], ["id"])\nexcept NotImplementedError:\n    pass',
        'op.add_column("a", sa.Column("c", sa.Integer))',
    ),
    "a batch operation drops a foreign key by its convention": chain_of(
        'op.create_table("owner", sa.Column("id", sa.Integer, primary_key=True))',
        'op.create_table("pet", sa.Column("id", sa.Integer),\n'
        '    sa.Column("owner_id", sa.Integer, sa.ForeignKey("owner.id")))',
        'names = {"fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s"}\n'
        'with op.batch_alter_table("pet", naming_convention=names) as batch:\n'
        '    batch.drop_constraint("fk_pet_owner_id_owner", type_="foreignkey")',
        'op.add_column("pet", sa.Column("name", sa.Text))',
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
@pytest.mark.parametrize("chain", POSTGRESQL.values(), ids=POSTGRESQL)
def test_postgresql_database_is_accused_of_nothing_if(
    pg_database: PostgresDatabase, tmp_path: Path, chain: list[Revision]
) -> None:
    assert_healthy(pg_database.url, tmp_path, chain)


@pytest.mark.parametrize("chain", SQLITE.values(), ids=SQLITE)
def test_sqlite_database_is_accused_of_nothing_if(
    sqlite_database: SqliteDatabase, tmp_path: Path, chain: list[Revision]
) -> None:
    assert_healthy(sqlite_database.url, tmp_path, chain)


@pytest.mark.parametrize("upgrades", [("rev1",), ("rev2",), ("rev2", "rev3")])
def test_chain_with_two_heads_is_no_fault_of_its_database(
    sqlite_database: SqliteDatabase, tmp_path: Path, upgrades: tuple[str, ...]
) -> None:
    with walk(sqlite_database.url, tmp_path, two_heads()) as walked:
        for revision in upgrades:
            walked.steps.upgrade(revision)
        evidence, accusing = walked.looked_at()
    assert not accusing
    assert not evidence.contradicts(["rev2", "rev3"] if "rev3" in upgrades else upgrades)


def test_current_revisions_are_weighed_even_if_the_branches_have_too_many_combinations(
    sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    many = [Revision(f"many{number}", None, f"Many {number}") for number in range(10)]
    with walk(sqlite_database.url, tmp_path, [*two_heads(), *many]) as walked:
        walked.steps.upgrade("rev2")
        walked.steps.upgrade("rev3")
        evidence, accusing = walked.looked_at()
    assert not accusing
    assert not evidence.contradicts(["rev2", "rev3"])


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_type_that_nothing_uses_is_left_over_only_if_a_pending_revision_fails_on_it(
    pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    guarded = chain_of(
        "pass",
        'sa.Enum("on", name="state").create(op.get_bind(), checkfirst=True)',
        'sa.Enum("on", name="way").create(op.get_bind(), checkfirst=False)',
    )
    pg_database.rows("CREATE TYPE state AS ENUM ('on'); CREATE TYPE way AS ENUM ('on')")
    with walk(pg_database.url, tmp_path, guarded) as walked:
        walked.steps.upgrade("rev1")
        _, accusing = walked.looked_at()
    assert [finding.facts["name"] for finding in accusing] == ["public.way"]


def test_many_revisions_that_no_schema_tells_apart_are_counted_and_not_listed(
    sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    chain = chain_of('op.create_table("t", sa.Column("id", sa.Integer))', *["pass"] * 120)
    with walk(sqlite_database.url, tmp_path, chain) as walked:
        walked.steps.upgrade("rev70")
        evidence, accusing = walked.looked_at()
        assert not accusing
        assert summarize(walked.workspace.chain, evidence) == (
            "The schema matches 121 revisions equally well, from rev1 (Step 1) to rev121 (Step 121): what they do "
            "differently is not visible in a schema, so it cannot tell which of them it is."
        )


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_check_is_known_under_the_name_that_a_convention_of_the_application_gives_it(
    pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    chain = chain_of(
        'op.create_table("t", sa.Column("age", sa.Integer), sa.CheckConstraint("age > 0", name="valid_age"))',
        'op.add_column("t", sa.Column("more", sa.Integer))',
    )
    with walk(pg_database.url, tmp_path, chain) as walked:
        walked.steps.upgrade("rev2")
        pg_database.rows("ALTER TABLE t RENAME CONSTRAINT valid_age TO ck_t_valid_age")
        _, accusing = walked.looked_at()
        assert not accusing
        pg_database.rows("ALTER TABLE t DROP CONSTRAINT ck_t_valid_age")
        _, accusing = walked.looked_at()
    assert [finding.code for finding in accusing] == ["evidence-contradicts"]


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_index_that_the_application_named_itself_is_the_index_of_the_scripts(
    pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    chain = chain_of(
        'op.create_table("trial", sa.Column("id", sa.Integer, primary_key=True), sa.Column("study", sa.Integer))',
        'op.create_index("trial_study_key", "trial", ["study"])',
    )
    with walk(pg_database.url, tmp_path, chain) as walked:
        walked.steps.upgrade("rev2")
        pg_database.rows("ALTER INDEX trial_study_key RENAME TO ix_trial_study")
        evidence, accusing = walked.looked_at()
    assert not accusing
    assert evidence.fits == (("rev2",), ("rev1",))


MODELS = """
CREATE TABLE team (id serial PRIMARY KEY, name varchar(50), "limit" int, size int);
CREATE TABLE member (id serial PRIMARY KEY, role varchar(9), team_id int REFERENCES team, name varchar(50) NOT NULL);
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('rev3')
"""
SCRIPTS = chain_of(
    'op.create_table("team", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50)))\n'
    'op.create_table("member", sa.Column("id", sa.Integer, primary_key=True),\n'
    '    sa.Column("team_id", sa.Integer, sa.ForeignKey("team.id")), sa.Column("name", sa.String(50)))',
    'op.add_column("team", sa.Column("size", sa.Integer, server_default="0", nullable=False))\n'
    'op.add_column("team", sa.Column("limit", sa.Integer))',
    'op.add_column("member", sa.Column("role", sa.String(9), server_default="user"))',
)


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_database_that_the_application_made_from_its_models_differs_by_design(
    pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    with walk(pg_database.url, tmp_path, SCRIPTS) as walked:
        pg_database.rows(MODELS)
        evidence, accusing = walked.looked_at()
        assert not accusing
        assert not evidence.contradicts(["rev3"])
        assert evidence.candidate == ("rev3",)
        assert summarize(walked.workspace.chain, evidence) == (
            "The schema has what rev3 (Step 3) has, but the application made it from its models and not with the "
            "scripts: the order of the columns of member shows it. Such a schema differs by design: "
            "member.name is not null, and may be null by the scripts; team.size may be null, and is not null by the "
            "scripts; member.role with no default, not 'user'; team.size with no default, not 0. A revision that "
            "builds on this can fail."
        )
        pg_database.rows("ALTER TABLE member DROP COLUMN role")  # nobody's models lack a column that a script adds
        evidence, accusing = walked.looked_at()
    assert [finding.code for finding in accusing] == ["evidence-contradicts"]
    assert evidence.contradicts(["rev3"])


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
@pytest.mark.parametrize(
    "by_hand",
    [
        "ALTER TABLE team ALTER COLUMN size DROP DEFAULT",
        "ALTER TABLE member DROP CONSTRAINT member_team_id_fkey",
        "ALTER TABLE member DROP COLUMN name, ADD COLUMN name varchar(50) NOT NULL",
    ],
)
def test_database_that_the_scripts_made_and_somebody_changed_is_not_excused(
    pg_database: PostgresDatabase, tmp_path: Path, by_hand: str
) -> None:
    with walk(pg_database.url, tmp_path, SCRIPTS) as walked:
        walked.steps.upgrade("rev3")
        pg_database.rows(by_hand)
        _, accusing = walked.looked_at()
    assert [finding.code for finding in accusing] == ["evidence-contradicts"]


@pytest.mark.parametrize("current", ["rev2", "rev3", None])
def test_clean_database_beside_an_empty_revision_needs_no_finish(
    sqlite_database: SqliteDatabase, tmp_path: Path, current: str | None
) -> None:
    chain = chain_of(
        'op.create_table("t", sa.Column("id", sa.Integer))',
        'if "c" not in [one["name"] for one in sa.inspect(op.get_bind()).get_columns("t")]:\n'
        '    op.add_column("t", sa.Column("c", sa.Integer))',
        "pass",
        'op.execute("UPDATE t SET id = 1")\nop.alter_column("t", "c", type_=sa.Text)\nop.execute("DELETE FROM t")',
    )
    with walk(sqlite_database.url, tmp_path, chain) as walked:
        walked.steps.upgrade(current or "rev3")
        if current is None:
            sqlite_database.rows("DELETE FROM alembic_version")
        evidence, accusing = walked.looked_at()
    assert evidence.partial is None
    assert {("rev3",), ("rev2",)} <= {*evidence.fits}
    assert not accusing or current is None
