"""Logs of failed migrations in the forms in which drivers, servers and collectors print them, with what each is about."""

from __future__ import annotations

from dataclasses import dataclass, replace

START = """\
INFO  [alembic.runtime.migration] Context impl {impl}.
INFO  [alembic.runtime.migration] Will assume {ddl} DDL.
"""
STEP = "INFO  [alembic.runtime.migration] Running {direction} {old} -> {new}, {message}\n"
TRACEBACK = """\
Traceback (most recent call last):
  File "/app/.venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py", line 1967, in _exec_single_context
    self.dialect.do_execute(
  File "/app/.venv/lib/python3.11/site-packages/sqlalchemy/engine/default.py", line 951, in do_execute
    cursor.execute(statement, parameters)
{raised}: {message}
{more}
The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/.venv/bin/alembic", line 8, in <module>
    sys.exit(main())
  File "/app/migrations/versions/{file}.py", line {line}, in {direction}
    op.execute("...")
  File "/app/.venv/lib/python3.11/site-packages/alembic/operations/ops.py", line 2591, in execute
    return operations.invoke(op)
sqlalchemy.exc.{wrapper}: ({raised}) {message}
{more}
[SQL: {sql}]
(Background on this error at: https://sqlalche.me/e/20/f405)
"""
IMPLS = {"sqlite3": ("SQLiteImpl", "non-transactional"), "pyodbc": ("MSSQLImpl", "transactional")}


@dataclass(frozen=True)
class Log:
    """A log, and what must be read in it."""

    text: str
    trouble: str
    revision: str | None = "b002"
    direction: str | None = "upgrade"
    statement: str | None = None

    def through(self, prefix: str) -> Log:
        """Return the log as a collector prints it, with the prefix before each line."""
        return replace(self, text="".join(f"{prefix}{line}\n" for line in self.text.splitlines()))


def failed(
    raised: str,
    message: str,
    trouble: str,
    sql: str,
    *,
    wrapper: str = "ProgrammingError",
    more: str = "",
    down: bool = False,
) -> Log:
    impl, ddl = IMPLS.get(raised.partition(".")[0], ("PostgresqlImpl", "transactional"))
    direction, old, new = ("downgrade", "b002", "a001") if down else ("upgrade", "a001", "b002")
    text = START.format(impl=impl, ddl=ddl) + STEP.format(direction=direction, old=old, new=new, message="Add loans")
    text += TRACEBACK.format(
        raised=raised,
        message=message,
        more=more,
        file="b002_add_loans",
        line=31,
        direction=direction,
        wrapper=wrapper,
        sql=sql,
    )
    return Log(text, trouble, "b002", direction, sql)


LOAN = "\nCREATE TABLE loan (\n\tid SERIAL NOT NULL, \n\tPRIMARY KEY (id)\n)\n\n"
EXISTS = failed("psycopg2.errors.DuplicateTable", 'relation "loan" already exists', "exists", LOAN.strip())
MISSING = failed(
    "psycopg2.errors.UndefinedTable", 'relation "books" does not exist', "missing", "ALTER TABLE books ADD COLUMN x INTEGER",
    more="LINE 1: ...",
)  # fmt: skip

LOGS: dict[str, Log] = {
    "psycopg2: a table that exists": EXISTS,
    "psycopg2: a missing table": MISSING,
    "psycopg2: duplicates": failed(
        "psycopg2.errors.UniqueViolation", 'could not create unique index "ux_book_isbn"', "duplicates",
        "CREATE UNIQUE INDEX ux_book_isbn ON book (isbn)", wrapper="IntegrityError", more="DETAIL:  Key (isbn)=(1) is duplicated.\n",
    ),
    "psycopg2: nulls": failed(
        "psycopg2.errors.NotNullViolation", 'column "due" of relation "loan" contains null values', "nulls",
        "ALTER TABLE loan ALTER COLUMN due SET NOT NULL", wrapper="IntegrityError",
    ),
    "psycopg2: orphans": failed(
        "psycopg2.errors.ForeignKeyViolation",
        'insert or update on table "loan" violates foreign key constraint "loan_book_id_fkey"', "orphans",
        "ALTER TABLE loan ADD FOREIGN KEY(book_id) REFERENCES book (id)", wrapper="IntegrityError",
    ),
    "psycopg2: a check": failed(
        "psycopg2.errors.CheckViolation", 'check constraint "ck" of relation "loan" is violated by some row', "check",
        "ALTER TABLE loan ADD CONSTRAINT ck CHECK (n > 0)", wrapper="IntegrityError",
    ),
    "psycopg2: too long": failed(
        "psycopg2.errors.StringDataRightTruncation", "value too long for type character varying(5)", "too-long",
        "ALTER TABLE book ALTER COLUMN title TYPE VARCHAR(5)", wrapper="DataError",
    ),
    "psycopg2: an id that is too long": failed(
        "psycopg2.errors.StringDataRightTruncation", "value too long for type character varying(32)", "id-too-long",
        "UPDATE alembic_version SET version_num='b002' WHERE alembic_version.version_num = 'a001'", wrapper="DataError",
    ),
    "psycopg2: no cast": failed(
        "psycopg2.errors.DatatypeMismatch", 'column "isbn" cannot be cast automatically to type integer', "not-castable",
        "ALTER TABLE book ALTER COLUMN isbn TYPE INTEGER", more='HINT:  You might need to specify "USING isbn::integer".\n',
    ),
    "psycopg2: a syntax error": failed(
        "psycopg2.errors.SyntaxError", 'syntax error at or near "COLUM"', "syntax", "ALTER TABLE book ADD COLUM x INTEGER"
    ),
    "psycopg2: rights": failed(
        "psycopg2.errors.InsufficientPrivilege", "must be owner of table book", "rights", "ALTER TABLE book ADD COLUMN x INTEGER"
    ),
    "psycopg2: a view needs it": failed(
        "psycopg2.errors.DependentObjectsStillExist", "cannot drop column title of table book because other objects depend on it",
        "in-use", "ALTER TABLE book DROP COLUMN title", wrapper="InternalError",
    ),
    "psycopg2: a lock timeout": failed(
        "psycopg2.errors.LockNotAvailable", "canceling statement due to lock timeout", "lock-timeout",
        "ALTER TABLE book ADD COLUMN x INTEGER", wrapper="OperationalError",
    ),
    "psycopg2: a statement timeout": failed(
        "psycopg2.errors.QueryCanceled", "canceling statement due to statement timeout", "statement-timeout",
        "UPDATE book SET x = 1", wrapper="OperationalError",
    ),
    "psycopg2: a deadlock": failed(
        "psycopg2.errors.DeadlockDetected", "deadlock detected", "deadlock", "ALTER TABLE book ADD COLUMN x INTEGER",
        wrapper="OperationalError",
    ),
    "psycopg2: an unsafe value": failed(
        "psycopg2.errors.UnsafeNewEnumValueUsage", 'unsafe use of new value "late" of enum type loan_state', "unsafe-value",
        "UPDATE loan SET state = 'late'", wrapper="OperationalError",
    ),
    "psycopg2: concurrently": failed(
        "psycopg2.errors.ActiveSqlTransaction", "CREATE INDEX CONCURRENTLY cannot run inside a transaction block", "in-transaction",
        "CREATE INDEX CONCURRENTLY ix ON book (title)", wrapper="InternalError",
    ),
    "psycopg2: the connection": failed(
        "psycopg2.OperationalError", "server closed the connection unexpectedly", "lost", "ALTER TABLE book ADD COLUMN x INTEGER",
        wrapper="OperationalError", more="\tThis probably means the server terminated abnormally\n",
    ),
    "psycopg2: a downgrade": failed(
        "psycopg2.errors.UndefinedObject", 'index "ix_loan" does not exist', "missing", "DROP INDEX ix_loan", down=True
    ),
    "psycopg: a table that exists": failed("psycopg.errors.DuplicateTable", 'relation "loan" already exists', "exists", LOAN.strip()),
    "asyncpg: a column that exists": failed(
        "sqlalchemy.dialects.postgresql.asyncpg.ProgrammingError",
        "<class 'asyncpg.exceptions.DuplicateColumnError'>: column \"x\" of relation \"book\" already exists", "exists",
        "ALTER TABLE book ADD COLUMN x INTEGER",
    ),
    "sqlite: a table that exists": failed(
        "sqlite3.OperationalError", "table loan already exists", "exists", LOAN.strip(), wrapper="OperationalError"
    ),
    "sqlite: locked": failed(
        "sqlite3.OperationalError", "database is locked", "lock-timeout", LOAN.strip(), wrapper="OperationalError"
    ),
    "sqlite: no batch": failed(
        "sqlite3.OperationalError", 'near "ALTER": syntax error', "no-batch", "ALTER TABLE book ALTER COLUMN x TYPE INTEGER",
        wrapper="OperationalError",
    ),
    "sqlite: a new column": failed(
        "sqlite3.OperationalError", "Cannot add a NOT NULL column with default value NULL", "not-null-column",
        "ALTER TABLE book ADD COLUMN x INTEGER NOT NULL", wrapper="OperationalError",
    ),
    "pyodbc: a table that exists": failed(
        "pyodbc.ProgrammingError",
        "('42S01', \"[42S01] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]There is already an object named 'loan' in "
        'the database. (2714) (SQLExecDirectW)")',
        "exists", "CREATE TABLE loan (id INTEGER NOT NULL)",
    ),
    "kubectl with times": EXISTS.through("2026-11-30T03:12:44.123456789Z "),
    "kubectl with pods": EXISTS.through("[pod/mage-7c9f/server] "),
    "docker compose": MISSING.through("mage-1  | "),
    "a journal": MISSING.through("Nov 30 03:12:44 db-host mage[4711]: "),
    "colours": replace(EXISTS, text=EXISTS.text.replace("INFO ", "\x1b[32mINFO\x1b[0m ").replace("psycopg2", "\x1b[31mpsycopg2\x1b[0m")),
    "cut at its beginning": replace(MISSING, text="".join(MISSING.text.splitlines(keepends=True)[12:])),
    "interleaved": replace(
        MISSING, text="".join(f"{line}\nGET /api/status 200 12ms\n" for line in MISSING.text.splitlines())
    ),
    "three restarts": replace(EXISTS, text=(EXISTS.text + "server starting\n" * 120) * 3),
    "the server's own log": Log(
        '2026-11-30 03:12:44.123 UTC [812] mage@mage ERROR:  relation "loan" already exists\n'
        "2026-11-30 03:12:44.123 UTC [812] mage@mage STATEMENT:  CREATE TABLE loan (id SERIAL NOT NULL)\n",
        "exists", None, None, "CREATE TABLE loan (id SERIAL NOT NULL)",
    ),
    "an unknown revision": Log(
        "ERROR [alembic.util.messaging] Can't locate revision identified by '256d6a12a927'\n"
        "  FAILED: Can't locate revision identified by '256d6a12a927'\n",
        "unknown-revision", "256d6a12a927", None,
    ),
    "several heads": Log(
        "FAILED: Multiple head revisions are present for given argument 'head'; please specify a specific target revision, "
        "'<branchname>@head' to narrow to a specific head, or 'heads' for all heads\n",
        "several-heads", None, None,
    ),
    "overlapping rows": Log(
        "alembic.util.exc.CommandError: Requested revision b002 overlaps with other requested revisions a001\n", "overlap", "b002", None
    ),
    "a wrong password": Log(
        'psycopg2.OperationalError: connection to server at "db1" (10.0.0.5), port 5432 failed: FATAL:  password authentication '
        'failed for user "mage"\n',
        "password", None, None,
    ),
    "a missing database": Log(
        'sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at "db1" (10.0.0.5), port 5432 failed: '
        'FATAL:  database "mage" does not exist\n',
        "no-database", None, None,
    ),
    "no server": Log(
        'sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to server at "db1" (10.0.0.5), port 5432 failed: '
        "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
        "connection", None, None,
    ),
    "no server, without the class of the driver": Log(
        'sqlalchemy.exc.OperationalError: connection to server at "db1" (10.0.0.5), port 5432 failed: Connection refused\n',
        "connection", None, None,
    ),
    "no schema": failed(
        "psycopg2.errors.InvalidSchemaName", "no schema has been selected to create in", "no-schema", LOAN.strip(), more="LINE 2: ..."
    ),
    "another migration was faster": Log(
        START.format(impl="PostgresqlImpl", ddl="transactional")
        + STEP.format(direction="upgrade", old="a001", new="b002", message="Add loans")
        + "alembic.util.exc.CommandError: Online migration expected to match one row when updating 'a001' to 'b002' in "
        "'alembic_version'; 0 found\n",
        "no-version-row",
    ),
}  # fmt: skip
NOTHING = (
    "",
    "server started\n",
    START.format(impl="SQLiteImpl", ddl="non-transactional"),
    "ERROR something else\n" * 9,
)
