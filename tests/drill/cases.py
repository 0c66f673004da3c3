"""The broken databases of the drill: how each is broken, and how to tell that it has recovered.

None is a recipe of an issue. They are what people meet who did not read the manual first: a deleted row, a dropped
table, a cut connection, a wrong URL, a role too many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase

BOOKS = Revision(
    "b001",
    None,
    "Create book",
    'op.create_table("book", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.String(80)))',
    'op.drop_table("book")',
)
LOANS = Revision(
    "b002",
    "b001",
    "Create loan",
    'op.create_table("loan", sa.Column("id", sa.Integer, primary_key=True), sa.Column("book_id", sa.Integer))\n'
    'op.create_table("reminder", sa.Column("id", sa.Integer, primary_key=True))',
    'op.drop_table("reminder")\nop.drop_table("loan")',
)
SHELVES = Revision(
    "b003",
    "b002",
    "Put books on shelves",
    'with op.batch_alter_table("book") as book:\n    book.add_column(sa.Column("shelf", sa.Integer))\n'
    'op.create_index("ix_book_shelf", "book", ["shelf"])',
    'op.drop_index("ix_book_shelf", table_name="book")\n'
    'with op.batch_alter_table("book") as book:\n    book.drop_column("shelf")',
)
STATES = Revision(
    "b003",
    "b002",
    "Give loans a state",
    'op.create_table("state", sa.Column("id", sa.Integer),\n'
    '    sa.Column("state", sa.Enum("out", "back", name="loan_state")))',
    'op.drop_table("state")',
)
QUICKLY = Revision(
    "b003",
    "b002",
    "Find loans quickly",
    "with op.get_context().autocommit_block():\n"
    "    op.execute('CREATE INDEX CONCURRENTLY ix_loan_book ON loan (book_id)')",
    'op.drop_index("ix_loan_book", table_name="loan")',
)
LATE = Revision(
    "b004",
    "b003",
    "Let loans be late",
    "with op.get_context().autocommit_block():\n    op.execute(\"ALTER TYPE loan_state ADD VALUE 'late'\")\n"
    'op.create_table("fine", sa.Column("id", sa.Integer))',
    'op.drop_table("fine")',
)
AUTHORS = Revision("a002", "b001", "Create author", 'op.create_table("author", sa.Column("id", sa.Integer))')
CHAIN = (BOOKS, LOANS, SHELVES)


@dataclass(frozen=True)
class Place:
    """A database with the project that it belongs to."""

    magetui: Magetui
    project: AlembicProject
    database: Database

    def __call__(self, *arguments: object) -> None:
        """Type a command that has to succeed."""
        done = self.magetui("--config", self.project.ini, *arguments)
        assert done.status == 0, done

    def sql(self, *statements: str) -> None:
        for statement in statements:
            self.database.rows(statement)


@dataclass(frozen=True)
class Case:
    """One broken database. `breaks` migrates it and breaks it; `holds` is SQL of a session that stays open."""

    name: str
    chain: tuple[Revision, ...]
    breaks: Callable[[Place], None]
    result: tuple[str, ...]  # the current revision after the recovery
    dialect: str = "postgresql"
    holds: str | None = None
    recovered: str | None = None  # a query that returns a row once the database has recovered

    def build(self, magetui: Magetui, directory: Path, database: Database) -> Place:
        place = Place(magetui, make_project(directory, self.chain, database.url), database)
        self.breaks(place)
        return place


def at(revision: str, *statements: str) -> Callable[[Place], None]:
    """Return a function that migrates to the revision, then runs the statements."""

    def breaks(place: Place) -> None:
        if revision != "base":
            place("migrate", "--revision", revision, "--yes")
        place.sql(*statements)

    return breaks


def _rolled_back(place: Place) -> None:
    place("migrate", "--yes")
    place("rollback", "--revision", "b002", "--yes")


def _invalid_index(place: Place) -> None:
    place("migrate", "--revision", "b002", "--yes")
    assert isinstance(place.database, PostgresDatabase)
    place.sql("CREATE INDEX CONCURRENTLY ix_loan_book ON loan (book_id)")
    place.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_loan_book'::regclass")


def _elsewhere(place: Place) -> None:
    place.sql("CREATE SCHEMA library")
    url = f"{place.database.url}?options=-csearch_path%3Dlibrary"
    place("--url", url, "migrate", "--yes")


def _other_owner(place: Place) -> None:
    name = f"app_{place.database.name}" if isinstance(place.database, PostgresDatabase) else ""
    place("migrate", "--revision", "b001", "--yes")
    place.sql(f"CREATE ROLE {name}", f"GRANT CREATE ON SCHEMA public TO {name}")
    for table in ("alembic_version", "book"):
        place.sql(f"ALTER TABLE {table} OWNER TO {name}")
    place("migrate", "--yes")


HEAD = ("b003",)
CASES = (
    Case("an empty database", CHAIN, at("base"), HEAD),
    Case("one revision behind", CHAIN, at("b002"), HEAD, "sqlite"),
    Case("the row of the version table is deleted", CHAIN, at("b003", "DELETE FROM alembic_version"), HEAD),
    Case("the version table is dropped", CHAIN, at("b002", "DROP TABLE alembic_version"), HEAD, "sqlite"),
    Case(
        "stamped ahead of the schema",
        CHAIN,
        at("b002", "UPDATE alembic_version SET version_num = 'b003'"),
        HEAD,
        recovered="SELECT shelf FROM book UNION ALL SELECT 1",
    ),
    Case("stamped behind the schema", CHAIN, at("b003", "UPDATE alembic_version SET version_num = 'b001'"), HEAD),
    Case(
        "a squashed revision", CHAIN, at("b003", "UPDATE alembic_version SET version_num = 'squashed'"), HEAD, "sqlite"
    ),
    Case("two rows in the version table", CHAIN, at("b003", "INSERT INTO alembic_version VALUES ('b001')"), HEAD),
    Case(
        "half of a revision",
        CHAIN,
        at("b001", "CREATE TABLE loan (id integer primary key, book_id integer)"),
        HEAD,
        "sqlite",
    ),
    Case("half of a downgrade", CHAIN, at("b002", "DROP TABLE reminder"), HEAD),
    Case("enum types that a rollback left", (BOOKS, LOANS, STATES), _rolled_back, HEAD),
    Case(
        "an enum value that a failed run left",
        (BOOKS, LOANS, STATES, LATE),
        at("b003", "ALTER TYPE loan_state ADD VALUE 'late'"),
        ("b004",),
        recovered="SELECT count(*) FROM fine",
    ),
    Case(
        "an invalid index",
        (BOOKS, LOANS, QUICKLY),
        _invalid_index,
        HEAD,
        recovered="SELECT 1 FROM pg_index WHERE indexrelid = 'ix_loan_book'::regclass AND indisvalid",
    ),
    Case(
        "the copy of a batch operation",
        CHAIN,
        at("b002", "CREATE TABLE _alembic_tmp_book (id integer)"),
        HEAD,
        "sqlite",
    ),
    Case(
        "a table of which only the copy is left",
        CHAIN,
        at("b002", "INSERT INTO book VALUES (1, 'Emma')", "ALTER TABLE book RENAME TO _alembic_tmp_book"),
        HEAD,
        "sqlite",
        recovered="SELECT 1 FROM book WHERE title = 'Emma'",
    ),
    Case("two heads, one of them applied", (*CHAIN, AUTHORS), at("b003"), ("a002", "b003"), "sqlite"),
    Case("a session that is idle in a transaction", CHAIN, at("b002"), HEAD, holds="SELECT * FROM book"),
    Case("a migration lock that nobody gives back", CHAIN, at("b002"), HEAD, holds="MUTEX"),
    Case("the version table in another schema", CHAIN, _elsewhere, HEAD),
    Case("tables of another owner", CHAIN, _other_owner, HEAD),
)
