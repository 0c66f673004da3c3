"""The corpus: revisions that fail and revisions that pass on one database with rows, each for a reason of its own.

Nobody says in advance which is which: the database does, when the revision runs.
"""

from __future__ import annotations

from collections.abc import Mapping

POSTGRESQL = """
CREATE TYPE state AS ENUM ('new', 'lent');
CREATE TABLE author (
    id serial PRIMARY KEY, name varchar(50) NOT NULL, email text, born date, CONSTRAINT uq_author_name UNIQUE (name));
CREATE TABLE book (
    id serial PRIMARY KEY, title varchar(100) NOT NULL, author_id integer REFERENCES author (id), state state DEFAULT 'new',
    price numeric(10, 2), pages integer, isbn varchar(20), note text, size varchar(10), twice integer,
    CONSTRAINT ck_book_pages CHECK (pages > 0));
CREATE TABLE empty (id integer PRIMARY KEY, name text, amount text);
CREATE TABLE loan (id integer PRIMARY KEY, book_id integer, person text, days bigint);
CREATE INDEX ix_book_isbn ON book (isbn);
CREATE VIEW titles AS SELECT id, title FROM book;
CREATE MATERIALIZED VIEW people AS SELECT person FROM loan;
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('start');
"""
ROWS = """
INSERT INTO author (id, name, email, born) VALUES (1, 'Ada', 'ada@example.org', '1950-01-01'), (2, 'Bo', NULL, NULL);
INSERT INTO book (id, title, author_id, state, price, pages, isbn, note, size, twice) VALUES
    (1, 'One', 1, 'new', 10.50, 100, '111', 'fine', '12', 1), (2, 'Two', 1, 'lent', 2000.00, 200, '111', NULL, '7', 1),
    (3, 'A long title of a book', NULL, 'new', NULL, NULL, NULL, 'x', 'large', NULL);
INSERT INTO loan (id, book_id, person, days) VALUES (1, 1, 'Cy', 3), (2, 99, 'Di', 3000000000), (3, NULL, 'Cy', 4);
"""

TYPES = [
    "Boolean",
    "Integer",
    "BigInteger",
    "SmallInteger",
    "Float",
    "Double",
    "Numeric",
    "String",
    "Text",
    "Unicode",
    "LargeBinary",
    "Date",
    "Time",
    "DateTime",
    "Interval",
    "JSON",
    "Uuid",
    "REAL",
    "CHAR",
]
# The upgrade by name, for both dialects.
BOTH: Mapping[str, str] = {
    "a new table": "op.create_table('shelf', sa.Column('id', sa.Integer, primary_key=True), sa.Column('at', sa.String(9)))",
    "a table that exists": "op.create_table('book', sa.Column('id', sa.Integer, primary_key=True))",
    "a table that exists, if not": "op.create_table('book', sa.Column('id', sa.Integer), if_not_exists=True)",
    "a table named as a view": "op.create_table('titles', sa.Column('id', sa.Integer))",
    "a table named as an index": "op.create_table('ix_book_isbn', sa.Column('id', sa.Integer))",
    "a table that refers to one": (
        "op.create_table('shelf', sa.Column('id', sa.Integer, primary_key=True),\n"
        "    sa.Column('book_id', sa.Integer, sa.ForeignKey('book.id')))"
    ),
    "two tables that refer": (
        "op.create_table('room', sa.Column('id', sa.Integer, primary_key=True))\n"
        "op.create_table('shelf', sa.Column('id', sa.Integer), sa.Column('room_id', sa.Integer, sa.ForeignKey('room.id')))"
    ),
    "a table with an index": (
        "op.create_table('shelf', sa.Column('id', sa.Integer), sa.Column('at', sa.String(9)))\n"
        "op.create_index('ix_shelf_at', 'shelf', ['at'], unique=True)"
    ),
    "a table with a default": (
        "op.create_table('shelf', sa.Column('id', sa.Integer), sa.Column('n', sa.Integer, server_default='5'),\n"
        "    sa.Column('t', sa.Text, server_default='x'), sa.Column('at', sa.DateTime, server_default=sa.func.now()))"
    ),
    "a table with a column of each type": "op.create_table('shelf', sa.Column('c0', sa.Boolean()), sa.Column('c1', sa.Integer()), sa.Column('c2', sa.BigInteger()), sa.Column('c3', sa.SmallInteger()), sa.Column('c4', sa.Float()), sa.Column('c5', sa.Double()), sa.Column('c6', sa.Numeric()), sa.Column('c7', sa.String()), sa.Column('c8', sa.Text()), sa.Column('c9', sa.Unicode()), sa.Column('c10', sa.LargeBinary()), sa.Column('c11', sa.Date()), sa.Column('c12', sa.Time()), sa.Column('c13', sa.DateTime()), sa.Column('c14', sa.Interval()), sa.Column('c15', sa.JSON()), sa.Column('c16', sa.Uuid()), sa.Column('c17', sa.REAL()), sa.Column('c18', sa.CHAR()))",
    "a column of each type": "".join(
        f"op.add_column('book', sa.Column('c{n}', sa.{kind}()))\n" for n, kind in enumerate(TYPES)
    ),
    "a dropped table": "op.drop_table('empty')",
    "a missing table dropped": "op.drop_table('absent')",
    "a missing table dropped, if it exists": "op.drop_table('absent', if_exists=True)",
    "a table dropped twice": "op.drop_table('empty')\nop.drop_table('empty')",
    "a table dropped and made again": "op.drop_table('empty')\nop.create_table('empty', sa.Column('id', sa.Integer))",
    "a renamed table": "op.rename_table('empty', 'full')",
    "a table renamed to a taken name": "op.rename_table('empty', 'loan')",
    "a missing table renamed": "op.rename_table('absent', 'present')",
    "a table renamed and used": "op.rename_table('empty', 'full')\nop.add_column('full', sa.Column('x', sa.Integer))",
    "a table renamed and used by its old name": (
        "op.rename_table('empty', 'full')\nop.add_column('empty', sa.Column('x', sa.Integer))"
    ),
    "a new column": "op.add_column('book', sa.Column('due', sa.Date))",
    "a column that exists": "op.add_column('book', sa.Column('title', sa.String(5)))",
    "a column for a missing table": "op.add_column('absent', sa.Column('x', sa.Integer))",
    "a column without values": "op.add_column('book', sa.Column('due', sa.Integer, nullable=False))",
    "a column without values in an empty table": "op.add_column('empty', sa.Column('due', sa.Integer, nullable=False))",
    "a column with a default": "op.add_column('book', sa.Column('due', sa.Integer, nullable=False, server_default='7'))",
    "a column added twice": "op.add_column('book', sa.Column('x', sa.Integer))\nop.add_column('book', sa.Column('x', sa.Integer))",
    "a dropped column": "op.drop_column('book', 'note')",
    "a missing column dropped": "op.drop_column('book', 'absent')",
    "a key column dropped": "op.drop_column('empty', 'id')",
    "an indexed column dropped": "op.drop_column('book', 'isbn')",
    "a column dropped and added": "op.drop_column('book', 'note')\nop.add_column('book', sa.Column('note', sa.Text))",
    "a renamed column": "op.alter_column('book', 'note', new_column_name='remark')",
    "a column renamed to a taken name": "op.alter_column('book', 'note', new_column_name='isbn')",
    "a missing column renamed": "op.alter_column('book', 'absent', new_column_name='present')",
    "a column renamed and dropped": (
        "op.alter_column('book', 'note', new_column_name='remark')\nop.drop_column('book', 'remark')"
    ),
    "a column renamed and dropped by its old name": (
        "op.alter_column('book', 'note', new_column_name='remark')\nop.drop_column('book', 'note')"
    ),
    "a new index": "op.create_index('ix_book_price', 'book', ['price'])",
    "an index that exists": "op.create_index('ix_book_isbn', 'book', ['title'])",
    "an index that exists, if not": "op.create_index('ix_book_isbn', 'book', ['title'], if_not_exists=True)",
    "an index named as a table": "op.create_index('loan', 'book', ['title'])",
    "an index on a missing column": "op.create_index('ix_x', 'book', ['absent'])",
    "an index on a missing table": "op.create_index('ix_x', 'absent', ['id'])",
    "a unique index on different values": "op.create_index('ux', 'book', ['title'], unique=True)",
    "a unique index on equal values": "op.create_index('ux', 'book', ['isbn'], unique=True)",
    "a unique index on two columns": "op.create_index('ux', 'book', ['isbn', 'title'], unique=True)",
    "a unique index on two equal columns": "op.create_index('ux', 'book', ['isbn', 'twice'], unique=True)",
    "a unique index on an empty table": "op.create_index('ux', 'empty', ['name'], unique=True)",
    "a unique index on a new column": (
        "op.add_column('book', sa.Column('x', sa.Integer))\nop.create_index('ux', 'book', ['x'], unique=True)"
    ),
    "a unique index on a renamed column": (
        "op.alter_column('book', 'isbn', new_column_name='code')\nop.create_index('ux', 'book', ['code'], unique=True)"
    ),
    "a partial unique index": (
        "op.create_index('ux', 'book', ['isbn'], unique=True, postgresql_where=sa.text('pages > 150'),\n"
        "    sqlite_where=sa.text('pages > 150'))"
    ),
    "a partial unique index on equal values": (
        "op.create_index('ux', 'book', ['isbn'], unique=True, postgresql_where=sa.text('pages > 50'),\n"
        "    sqlite_where=sa.text('pages > 50'))"
    ),
    "a dropped index": "op.drop_index('ix_book_isbn', 'book')",
    "a missing index dropped": "op.drop_index('ix_absent', 'book')",
    "a missing index dropped, if it exists": "op.drop_index('ix_absent', 'book', if_exists=True)",
    "an index dropped and made unique": (
        "op.drop_index('ix_book_isbn', 'book')\nop.create_index('ix_book_isbn', 'book', ['isbn'], unique=True)"
    ),
    "a column, filled and required": (
        "op.add_column('book', sa.Column('x', sa.Integer))\nop.execute('UPDATE book SET x = 1')"
    ),
    "raw: a new table": "op.execute('CREATE TABLE shelf (id integer PRIMARY KEY, at text)')",
    "raw: a table that exists": "op.execute('CREATE TABLE book (id integer)')",
    "raw: a table that exists, if not": "op.execute('CREATE TABLE IF NOT EXISTS book (id integer)')",
    "raw: a missing table dropped": "op.execute('DROP TABLE absent')",
    "raw: a missing table dropped, if it exists": "op.execute('DROP TABLE IF EXISTS absent')",
    "raw: a column that exists": "op.execute('ALTER TABLE book ADD COLUMN title text')",
    "raw: an index that exists": "op.execute('CREATE INDEX ix_book_isbn ON book (title)')",
    "raw: a unique index on equal values": "op.execute('CREATE UNIQUE INDEX ux ON book (isbn)')",
    "raw: a missing index dropped": "op.execute('DROP INDEX ix_absent')",
    "a column with a foreign key": "op.add_column('book', sa.Column('x', sa.Integer, sa.ForeignKey('author.id')))",
    "a unique column": "op.add_column('book', sa.Column('x', sa.Integer, unique=True))",
    "an indexed column": "op.add_column('book', sa.Column('x', sa.Integer, index=True))",
    "a computed column": "op.add_column('book', sa.Column('x', sa.Integer, sa.Computed('pages * 2')))",
    "a computed column that is stored": (
        "op.add_column('book', sa.Column('x', sa.Integer, sa.Computed('pages * 2', persisted=True)))"
    ),
    "a key column": "op.add_column('book', sa.Column('x', sa.Integer, primary_key=True))",
    "an enum column": "op.add_column('book', sa.Column('x', sa.Enum('a', 'b', name='kind')))",
    "a column in its own name": "op.alter_column('book', 'note', new_column_name='note')",
    "a column in capitals": "op.alter_column('book', 'note', new_column_name='NOTE')",
    "a table in its own name": "op.rename_table('empty', 'empty')",
    "a table in capitals": "op.rename_table('empty', 'EMPTY')",
    "raw: a column with a foreign key": "op.execute('ALTER TABLE book ADD COLUMN x integer REFERENCES author (id)')",
    "raw: a column with a foreign key to nothing": "op.execute('ALTER TABLE book ADD COLUMN x integer REFERENCES absent (id)')",
    "raw: a column with a check": "op.execute('ALTER TABLE loan ADD COLUMN x integer CHECK (x > 0)')",
    "raw: a column with a check of others": "op.execute('ALTER TABLE loan ADD COLUMN x integer CHECK (days < 5)')",
    "raw: a unique column": "op.execute('ALTER TABLE book ADD COLUMN x integer UNIQUE')",
    "raw: a column with a default": "op.execute('ALTER TABLE book ADD COLUMN x integer NOT NULL DEFAULT 5')",
    "raw: a column without values": "op.execute('ALTER TABLE book ADD COLUMN x integer NOT NULL')",
    "raw: two columns": "op.execute('ALTER TABLE book ADD COLUMN x integer, ADD COLUMN y integer')",
    "raw: a renamed column": "op.execute('ALTER TABLE book RENAME COLUMN note TO remark')",
    "raw: a dropped column": "op.execute('ALTER TABLE book DROP COLUMN note')",
    "raw: a retyped column": "op.execute('ALTER TABLE book ALTER COLUMN note TYPE varchar(50)')",
    "raw: a constraint": "op.execute('ALTER TABLE book ADD CONSTRAINT uq UNIQUE (title)')",
    "raw: a view": "op.execute('CREATE VIEW v AS SELECT 1 AS one')",
    "raw: rows": 'op.execute("INSERT INTO empty (id) VALUES (1)")',
    "raw: a table of a query": "op.execute('CREATE TABLE shelf AS SELECT id FROM book')",
    "raw: a table with a check": "op.execute('CREATE TABLE shelf (id integer PRIMARY KEY, n integer CHECK (n > 0))')",
    "raw: a table that refers": "op.execute('CREATE TABLE shelf (id integer PRIMARY KEY, b integer REFERENCES book (id))')",
    "raw: nonsense": "op.execute('ALTER TABLE book FROBNICATE')",
    "nothing": "pass",
    "three causes": (
        "op.drop_table('absent')\nop.add_column('book', sa.Column('title', sa.Text))\n"
        "op.create_index('ix_book_isbn', 'book', ['title'])"
    ),
}

ON_POSTGRESQL: Mapping[str, str] = {
    **BOTH,
    "a serial column": "op.execute('ALTER TABLE book ADD COLUMN x serial')",
    "a serial column that is unique": "op.execute('ALTER TABLE book ADD COLUMN x bigserial UNIQUE')",
    "an identity column": "op.add_column('book', sa.Column('x', sa.Integer, sa.Identity(), nullable=False))",
    "an array of an enum": "op.execute('ALTER TABLE book ADD COLUMN x state[]')",
    "a table with a wrong default of an enum": (
        "op.execute(\"CREATE TYPE kind AS ENUM ('a')\")\nop.execute(\"CREATE TABLE shelf (k kind DEFAULT 'b')\")"
    ),
    "a table with a right default of an enum": (
        "op.execute(\"CREATE TYPE kind AS ENUM ('a')\")\nop.execute(\"CREATE TABLE shelf (k kind DEFAULT 'a')\")"
    ),
    "a comment": "op.create_table_comment('book', 'books')",
    "raw: two actions": "op.execute('ALTER TABLE book ADD COLUMN x integer, DROP COLUMN note')",
    "raw: two actions of which one fails": "op.execute('ALTER TABLE book ADD COLUMN x integer, DROP COLUMN absent')",
    "raw: an extension": "op.execute('CREATE EXTENSION IF NOT EXISTS plpgsql')",
    "raw: a not null constraint with a check": "op.execute('ALTER TABLE book ADD CONSTRAINT ck CHECK (pages IS NOT NULL)')",
    "a table that refers to nothing": (
        "op.create_table('shelf', sa.Column('id', sa.Integer), sa.Column('x', sa.Integer, sa.ForeignKey('absent.id')))"
    ),
    "a table that refers to what is not unique": (
        "op.create_table('shelf', sa.Column('id', sa.Integer), sa.Column('x', sa.Integer, sa.ForeignKey('book.pages')))"
    ),
    "a table that refers with another type": (
        "op.create_table('shelf', sa.Column('id', sa.Integer), sa.Column('x', sa.Text, sa.ForeignKey('book.id')))"
    ),
    "a table in a missing schema": "op.create_table('shelf', sa.Column('id', sa.Integer), schema='absent')",
    "a table with a wrong default": "op.create_table('shelf', sa.Column('n', sa.Integer, server_default='five'))",
    "a table with a wrong check": "op.create_table('shelf', sa.Column('n', sa.Integer), sa.CheckConstraint('m > 0'))",
    "a table with a check": "op.create_table('shelf', sa.Column('n', sa.Integer), sa.CheckConstraint('n > 0'))",
    "a table with a new enum": "op.create_table('shelf', sa.Column('k', sa.Enum('a', 'b', name='kind')))",
    "a table with an enum that exists": "op.create_table('shelf', sa.Column('k', sa.Enum('new', 'lent', name='state')))",
    "a table with JSON and arrays": (
        "from sqlalchemy.dialects import postgresql\n"
        "op.create_table('shelf', sa.Column('j', postgresql.JSONB, server_default='{}'),\n"
        "    sa.Column('a', postgresql.ARRAY(sa.Text)), sa.Column('u', postgresql.UUID), sa.Column('t', sa.DateTime(timezone=True)))"
    ),
    "a table that others refer to": "op.drop_table('author')",
    "a table of a view": "op.drop_table('loan')",
    "a table and its view": "op.execute('DROP MATERIALIZED VIEW people')\nop.drop_table('loan')",
    "raw: a table of a view with CASCADE": "op.execute('DROP TABLE loan CASCADE')",
    "a column of a view dropped": "op.drop_column('book', 'title')",
    "a column of a view retyped": "op.alter_column('book', 'title', type_=sa.Text)",
    "a column of a view renamed": "op.alter_column('book', 'title', new_column_name='name')",
    "a column that must have values and has none": "op.alter_column('book', 'author_id', nullable=False)",
    "a column that must have values and has them": "op.alter_column('book', 'price', nullable=True)",
    "a column that must have values and has all": "op.alter_column('loan', 'person', nullable=False)",
    "a missing column that must have values": "op.alter_column('book', 'absent', nullable=False)",
    "a new column that must have values": (
        "op.add_column('book', sa.Column('x', sa.Integer))\nop.alter_column('book', 'x', nullable=False)"
    ),
    "a new column with a default that must have values": (
        "op.add_column('book', sa.Column('x', sa.Integer, server_default='1'))\nop.alter_column('book', 'x', nullable=False)"
    ),
    "a key column without NOT NULL": "op.alter_column('book', 'id', nullable=True)",
    "a shorter text": "op.alter_column('author', 'name', type_=sa.String(10))",
    "a text that is too short": "op.alter_column('author', 'name', type_=sa.String(2))",
    "a longer text": "op.alter_column('author', 'name', type_=sa.String(200))",
    "a text without a limit": "op.alter_column('author', 'name', type_=sa.Text)",
    "a text that becomes a number": "op.alter_column('book', 'isbn', type_=sa.Integer)",
    "a text that is cast to a number": "op.alter_column('book', 'isbn', type_=sa.Integer, postgresql_using='isbn::integer')",
    "a text that is cast to a number and is none": (
        "op.alter_column('book', 'size', type_=sa.Integer, postgresql_using='size::integer')"
    ),
    "an empty text that becomes a number": "op.alter_column('empty', 'amount', type_=sa.Integer)",
    "an empty text that is cast to a number": (
        "op.alter_column('empty', 'amount', type_=sa.Integer, postgresql_using='amount::integer')"
    ),
    "a number that becomes smaller": "op.alter_column('loan', 'days', type_=sa.Integer)",
    "a number that becomes larger": "op.alter_column('loan', 'book_id', type_=sa.BigInteger)",
    "a number that becomes a text": "op.alter_column('loan', 'days', type_=sa.Text)",
    "a number that becomes a short text": "op.alter_column('loan', 'days', type_=sa.String(3))",
    "a number that becomes a boolean": "op.alter_column('loan', 'book_id', type_=sa.Boolean)",
    "a numeric that becomes too narrow": "op.alter_column('book', 'price', type_=sa.Numeric(5, 2))",
    "a numeric that becomes wider": "op.alter_column('book', 'price', type_=sa.Numeric(12, 2))",
    "a numeric that becomes an integer": "op.alter_column('book', 'price', type_=sa.Integer)",
    "a date that becomes a timestamp": "op.alter_column('author', 'born', type_=sa.DateTime)",
    "an enum that becomes a text": "op.alter_column('book', 'state', type_=sa.String(10))",
    "a text that becomes an enum": "op.alter_column('book', 'note', type_=sa.Enum('fine', 'x', name='state'))",
    "a new default": "op.alter_column('book', 'pages', server_default='1')",
    "a wrong default": "op.alter_column('book', 'pages', server_default='one')",
    "a wrong default of an enum": "op.alter_column('book', 'state', server_default='old')",
    "an index by CONCURRENTLY in a transaction": "op.create_index('ix_x', 'book', ['price'], postgresql_concurrently=True)",
    "an index on an expression": "op.create_index('ix_x', 'book', [sa.text('lower(title)')])",
    "an index on a wrong expression": "op.create_index('ix_x', 'book', [sa.text('lower(absent)')])",
    "an index of a constraint dropped": "op.drop_index('uq_author_name', 'author')",
    "a unique constraint on equal values": "op.create_unique_constraint('uq', 'book', ['isbn'])",
    "a unique constraint on different values": "op.create_unique_constraint('uq', 'book', ['title'])",
    "a unique constraint that exists": "op.create_unique_constraint('uq_author_name', 'author', ['email'])",
    "a unique constraint on a missing column": "op.create_unique_constraint('uq', 'author', ['absent'])",
    "a second primary key": "op.create_primary_key('pk2', 'book', ['title'])",
    "a foreign key": "op.create_foreign_key('fk', 'loan', 'author', ['id'], ['id'])",
    "a foreign key with orphans": "op.create_foreign_key('fk', 'loan', 'book', ['book_id'], ['id'])",
    "a foreign key with orphans, not valid": (
        "op.create_foreign_key('fk', 'loan', 'book', ['book_id'], ['id'], postgresql_not_valid=True)"
    ),
    "a foreign key to a new table": (
        "op.create_table('shelf', sa.Column('id', sa.Integer, primary_key=True))\n"
        "op.create_foreign_key('fk', 'loan', 'shelf', ['book_id'], ['id'])"
    ),
    "a foreign key of an empty table": "op.create_foreign_key('fk', 'empty', 'book', ['id'], ['id'])",
    "a foreign key to a missing table": "op.create_foreign_key('fk', 'loan', 'absent', ['book_id'], ['id'])",
    "a foreign key of a missing column": "op.create_foreign_key('fk', 'loan', 'book', ['absent'], ['id'])",
    "a foreign key to what is not unique": "op.create_foreign_key('fk', 'loan', 'book', ['book_id'], ['twice'])",
    "a foreign key of another type": "op.create_foreign_key('fk', 'loan', 'book', ['person'], ['id'])",
    "a check that holds": "op.create_check_constraint('ck', 'book', 'pages < 1000')",
    "a check that is violated": "op.create_check_constraint('ck', 'book', 'pages < 150')",
    "a check on a missing column": "op.create_check_constraint('ck', 'book', 'absent < 150')",
    "a check with IN": "op.create_check_constraint('ck', 'loan', \"person IN ('Cy', 'Di')\")",
    "a check with IN that is violated": "op.create_check_constraint('ck', 'loan', \"person IN ('Cy')\")",
    "a check that exists": "op.create_check_constraint('ck_book_pages', 'book', 'pages < 1000')",
    "a dropped constraint": "op.drop_constraint('ck_book_pages', 'book', type_='check')",
    "a missing constraint dropped": "op.drop_constraint('ck_absent', 'book', type_='check')",
    "a constraint that a key needs": "op.drop_constraint('author_pkey', 'author', type_='primary')",
    "a primary key that nothing needs": "op.drop_constraint('loan_pkey', 'loan', type_='primary')",
    "a constraint dropped and made again": (
        "op.drop_constraint('uq_author_name', 'author', type_='unique')\n"
        "op.create_unique_constraint('uq_author_name', 'author', ['name'])"
    ),
    "a new enum": "op.execute(\"CREATE TYPE kind AS ENUM ('a')\")",
    "an enum that exists": "op.execute(\"CREATE TYPE state AS ENUM ('a')\")",
    "an enum that a column has": "op.execute('DROP TYPE state')",
    "a missing enum dropped": "op.execute('DROP TYPE absent')",
    "a missing enum dropped, if it exists": "op.execute('DROP TYPE IF EXISTS absent')",
    "a new value": "op.execute(\"ALTER TYPE state ADD VALUE 'gone'\")",
    "a value that exists": "op.execute(\"ALTER TYPE state ADD VALUE 'lent'\")",
    "a value that exists, if not": "op.execute(\"ALTER TYPE state ADD VALUE IF NOT EXISTS 'lent'\")",
    "a value of a missing enum": "op.execute(\"ALTER TYPE absent ADD VALUE 'lent'\")",
    "a new value that is used": (
        "op.execute(\"ALTER TYPE state ADD VALUE 'gone'\")\nop.execute(\"UPDATE book SET state = 'gone' WHERE id = 1\")"
    ),
    "a new value as a default": (
        "op.execute(\"ALTER TYPE state ADD VALUE 'gone'\")\nop.alter_column('book', 'state', server_default='gone')"
    ),
    "a renamed value": "op.execute(\"ALTER TYPE state RENAME VALUE 'new' TO 'fresh'\")",
    "a missing value renamed": "op.execute(\"ALTER TYPE state RENAME VALUE 'absent' TO 'fresh'\")",
    "a column of a missing type": "op.execute('ALTER TABLE book ADD COLUMN k absent')",
    "a column of an enum": "op.execute('ALTER TABLE book ADD COLUMN k state')",
    "a column of a new enum without the type": "op.add_column('book', sa.Column('k', sa.Enum('a', name='kind', create_type=False)))",
    "raw: a column that exists, if not": "op.execute('ALTER TABLE book ADD COLUMN IF NOT EXISTS title text')",
    "raw: a missing column dropped, if it exists": "op.execute('ALTER TABLE book DROP COLUMN IF EXISTS absent')",
    "raw: a required column with nulls": "op.execute('ALTER TABLE book ALTER COLUMN pages SET NOT NULL')",
    "raw: a missing table altered, if it exists": "op.execute('ALTER TABLE IF EXISTS absent ADD COLUMN x integer')",
    "a name that is too long": f"op.create_index('ix_{'x' * 70}', 'book', ['price'])",
    "nulls replaced, then required": (
        "op.execute('UPDATE book SET pages = 1 WHERE pages IS NULL')\nop.alter_column('book', 'pages', nullable=False)"
    ),
    "duplicates deleted, then unique": (
        "op.execute('DELETE FROM book WHERE id = 2')\nop.create_unique_constraint('uq', 'book', ['isbn'])"
    ),
    "rows of a new table": (
        "t = op.create_table('shelf', sa.Column('id', sa.Integer, primary_key=True))\nop.bulk_insert(t, [{'id': 1}, {'id': 1}])"
    ),
    "a block of code": "op.execute('DO $$ BEGIN RAISE EXCEPTION $x$no$x$; END $$')",
    "a guarded revision": "if not sa.inspect(op.get_bind()).has_table('book'):\n    op.drop_table('absent')",
}
