"""Random revisions on random rows: the database never does what the preflight excludes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from magetui.engine.preview.preflight.answers import Preflight
from tests.engine.preflight.test_corpus import answers, chain, on_postgresql, on_sqlite, wrong
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

TABLES, COLUMNS = ("a", "b", "c", "absent"), ("id", "x", "y", "t", "absent")
TYPES = ("sa.Integer", "sa.Text", "sa.String(3)", "sa.String(30)", "sa.BigInteger", "sa.Numeric(6, 2)", "sa.Boolean")
SCHEMA = """
CREATE TABLE {name} (id integer PRIMARY KEY, x integer{unique}, y varchar(20), t text{reference});
CREATE INDEX ix_{name}_y ON {name} (y);
"""
RAW = (
    *("integer", "integer NOT NULL", "integer NOT NULL DEFAULT 5", "integer UNIQUE", "serial", "varchar(3) DEFAULT 7"),
    *("integer REFERENCES a (id)", "integer REFERENCES absent (id)", "integer CHECK (x > 0)", "integer PRIMARY KEY"),
)
STEPS, REVISIONS = 3, 150

Choose = Callable[..., str]


def operation(pick: random.Random, batch: str | None = None) -> str:
    """Return a random operation; in a batch operation on the table `batch`, as a call of the batch."""
    table, other = batch or pick.choice(TABLES), pick.choice(TABLES)
    column, new = pick.choice(COLUMNS), pick.choice(COLUMNS)
    kind, null = pick.choice(TYPES), pick.choice(("True", "False"))
    default = pick.choice(("", "", ", server_default='7'"))
    call, on = ("op", f"'{table}', ") if batch is None else ("batch", "")
    raw = pick.choice(RAW)
    several = ", ".join(repr(name) for name in pick.sample(COLUMNS[:-1], pick.choice((1, 1, 2))))
    choices = [
        f"{call}.add_column({on}sa.Column('{new}', {kind}, nullable={null}{default}))",
        f"{call}.drop_column({on}'{column}')",
        f"{call}.alter_column({on}'{column}', new_column_name='{new}')",
        f"{call}.alter_column({on}'{column}', nullable={null})",
        f"{call}.alter_column({on}'{column}', type_={kind})",
        f"{call}.create_index('{pick.choice(('ix_new', f'ix_{other}_y'))}', {on}[{several}], unique={null})",
        f"{call}.create_unique_constraint('{pick.choice(('uq_new', 'a'))}', {on}[{several}])",
        f"{call}.create_check_constraint('ck_new', {on}'{column} > {pick.randint(0, 9)}')",
    ]
    if batch is None:
        choices += [
            f"op.create_table('{pick.choice((table, 'fresh'))}', sa.Column('id', sa.Integer, primary_key=True), "
            f"sa.Column('x', {kind}{default}))",
            f"op.drop_table('{table}')",
            f"op.add_column('{table}', sa.Column('{new}', {kind}, sa.ForeignKey('{other}.id')))",
            f"op.add_column('{table}', sa.Column('{new}', {kind}, unique=True))",
            f"op.execute('ALTER TABLE {table} ADD COLUMN {new} {raw}')",
            f"op.execute('ALTER TABLE {table} RENAME COLUMN {column} TO {new}')",
            f"op.execute('ALTER TABLE {table} DROP COLUMN {column}')",
            f"op.execute('CREATE UNIQUE INDEX ix_new ON {table} ({column})')",
            f"op.execute('DROP TABLE IF EXISTS {table}')",
            f"op.rename_table('{table}', '{pick.choice((other, 'fresh'))}')",
            f"op.drop_index('ix_{other}_y', '{table}')",
            f"op.create_foreign_key('fk_new', '{table}', '{other}', ['{column}'], ['{new}'])",
            f"op.drop_constraint('{pick.choice(('a_x_key', 'a_pkey', 'absent'))}', '{table}')",
        ]
    return pick.choice(choices)


def upgrade(pick: random.Random, dialect: str) -> str:
    lines: list[str] = []
    for _ in range(pick.randint(1, STEPS)):
        if dialect == "sqlite" and pick.random() < 0.5:
            table = pick.choice(TABLES[:-1])
            lines.append(f"with op.batch_alter_table('{table}') as batch:")
            lines += [f"    {operation(pick, table)}" for _ in range(pick.randint(1, 2))]
        else:
            lines.append(operation(pick))
    return "\n".join(lines)


def schema(pick: random.Random) -> Iterator[str]:
    for name in TABLES[:-1]:
        unique = " UNIQUE" if name == "a" else ""
        reference = ", r integer REFERENCES a (id)" if name == "b" else ""
        yield SCHEMA.format(name=name, unique=unique, reference=reference)
        for number in range(pick.choice((0, 2, 4))):
            x = str(number + 1) if name == "a" else pick.choice(("1", "2", "NULL", "3000"))
            y, t = (pick.choice(("'1'", "'22'", "'long text'", "NULL")) for _ in range(2))
            yield f"INSERT INTO {name} (id, x, y, t) VALUES ({number + 1}, {x}, {y}, {t});"


def built(database: Database, pick: random.Random) -> None:
    url = sa.make_url(database.url)
    driver = "postgresql+psycopg2" if url.get_backend_name() == "postgresql" else "sqlite"
    engine = sa.create_engine(url.set(drivername=driver), poolclass=sa.NullPool)
    with engine.connect() as connection:
        for part in schema(pick):
            for statement in filter(None, map(str.strip, part.split(";"))):
                connection.exec_driver_sql(statement)
        connection.commit()


@pytest.mark.parametrize("seed", range(3))
def test_the_database_never_does_what_the_preflight_excludes(database: Database, tmp_path: Path, seed: int) -> None:
    pick = random.Random(seed)
    built(database, pick)
    dialect = "postgresql" if isinstance(database, PostgresDatabase) else "sqlite"
    corpus = {f"{number}: {text}": text for number in range(REVISIONS) if (text := upgrade(pick, dialect))}
    project, ids = chain(tmp_path / "project", database, corpus)
    found: dict[str, Preflight] = answers(project, ids)
    errors = {}
    for name, revision in ids.items():
        script = next(project.directory.rglob(f"{revision}_*.py"))
        if isinstance(database, PostgresDatabase):
            errors[name] = on_postgresql(database, script)
        else:
            assert isinstance(database, SqliteDatabase)
            errors[name] = on_sqlite(database, script)
    assert "\n".join(wrong(found, errors)) == ""
    failing = [name for name, error in errors.items() if error]
    assert len(failing) > REVISIONS / 4
