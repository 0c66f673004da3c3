"""The corpus for SQLite: what both dialects do, the limits of its ALTER TABLE, and batch operations."""

from __future__ import annotations

from collections.abc import Mapping

from tests.engine.preflight.corpus import BOTH

SQLITE = """
CREATE TABLE author (
    id integer PRIMARY KEY, name varchar(50) NOT NULL, email text, born date, CONSTRAINT uq_author_name UNIQUE (name));
CREATE TABLE book (
    id integer PRIMARY KEY, title varchar(100) NOT NULL, author_id integer REFERENCES author (id), state varchar(10),
    price numeric(10, 2), pages integer, isbn varchar(20), note text, size varchar(10), twice integer);
CREATE TABLE empty (id integer PRIMARY KEY, name text, amount text);
CREATE TABLE loan (id integer PRIMARY KEY, book_id integer, person text, days bigint);
CREATE INDEX ix_book_isbn ON book (isbn);
CREATE TABLE titled (id integer PRIMARY KEY, title text);
CREATE VIEW titles AS SELECT id, title FROM titled;
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('start');
"""


def batch(table: str, *lines: str, options: str = "") -> str:
    body = "".join(f"\n    {line}" for line in lines)
    return f"with op.batch_alter_table('{table}'{options}) as batch:{body}"


ON_SQLITE: Mapping[str, str] = {
    **BOTH,
    "a column altered without a batch": "op.alter_column('book', 'note', type_=sa.String(5))",
    "a constraint without a batch": "op.create_unique_constraint('uq', 'author', ['email'])",
    "a column with a default that is no constant": (
        "op.add_column('book', sa.Column('x', sa.DateTime, server_default=sa.func.current_timestamp()))"
    ),
    "a column with a default that is no constant, of an empty table": (
        "op.add_column('empty', sa.Column('x', sa.DateTime, server_default=sa.func.current_timestamp()))"
    ),
    "batch: a column required with nulls": batch("book", "batch.alter_column('pages', nullable=False)"),
    "batch: a column required with values": batch("loan", "batch.alter_column('person', nullable=False)"),
    "batch: a column without values": batch(
        "book", "batch.add_column(sa.Column('x', sa.Integer, nullable=False))", options=", recreate='always'"
    ),
    "batch: a unique constraint on equal values": batch("book", "batch.create_unique_constraint('uq', ['isbn'])"),
    "batch: a unique constraint on different values": batch("book", "batch.create_unique_constraint('uq', ['title'])"),
    "batch: a check that is violated": batch("book", "batch.create_check_constraint('ck', 'pages < 150')"),
    "batch: a check that holds": batch("book", "batch.create_check_constraint('ck', 'pages < 1000')"),
    "batch: a check on a missing column": batch("book", "batch.create_check_constraint('ck', 'absent < 1000')"),
    "batch: a dropped column": batch("book", "batch.drop_column('note')"),
    "batch: a missing column dropped": batch("book", "batch.drop_column('absent')"),
    "batch: a renamed column": batch("book", "batch.alter_column('note', new_column_name='remark')"),
    "batch: a missing column altered": batch("book", "batch.alter_column('absent', nullable=False)"),
    "batch: a missing table": batch("absent", "batch.drop_column('x')"),
    "batch: a constraint without a name": batch("book", "batch.drop_constraint(None)"),
    "batch: another type": batch("book", "batch.alter_column('size', type_=sa.Integer)"),
    "batch: a table of a view": batch("titled", "batch.alter_column('title', type_=sa.String(5))"),
    "batch: a foreign key": batch("loan", "batch.create_foreign_key('fk', 'author', ['id'], ['id'])"),
    "batch: a dropped constraint": batch("author", "batch.drop_constraint('uq_author_name', type_='unique')"),
    "batch: a missing constraint dropped": batch("author", "batch.drop_constraint('uq_absent', type_='unique')"),
    "batch: an altered column, then one without a batch": (
        batch("book", "batch.alter_column('note', type_=sa.String(5))")
        + "\nop.alter_column('book', 'note', type_=sa.Text)"
    ),
    "a table after a batch that was left": (
        "op.execute('CREATE TABLE _alembic_tmp_book (id integer)')\n" + batch("book", "batch.drop_column('note')")
    ),
}
