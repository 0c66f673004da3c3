"""The errors and result sets of SQL Server as three drivers report them, and what the program makes of them.

There is no server here. The errors have the shape that each driver gives them. Errors of connections are as the real
drivers raised them against ports of this machine; errors of statements are as the drivers' sources build them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, ClassVar

import pytest
from sqlalchemy.exc import ArgumentError, DBAPIError

from magetui.backends.mssql.backend import SQLServer
from magetui.backends.mssql.failures import dialect_missing, error_number
from magetui.backends.mssql.locks import SessionLocks
from magetui.backends.mssql.mutex import AppLock
from magetui.backends.mssql.query import run
from magetui.engine.errors import ConnectError
from magetui.engine.target.target import parse_target
from magetui.model.server import Failure
from magetui.model.sessions import HeldLock, LockWait

LOCKED = "Lock request time out period exceeded."
GENERAL = "DB-Lib error message 20018, severity 16:\nGeneral SQL Server error: Check messages from the SQL Server\n"
ODBC = "[Microsoft][ODBC Driver 18 for SQL Server]"


class OperationalError(Exception):
    """An error of a driver; only its arguments and attributes matter."""


class ProgrammingError(Exception):
    pass


class WordyError(Exception):
    """An error of mssql-python, which has a text and no number."""

    def __init__(self, driver_error: str, ddbc_error: str) -> None:
        self.driver_error, self.ddbc_error = driver_error, ddbc_error
        super().__init__(f"Driver Error: {driver_error}; DDBC Error: {ddbc_error}")


def in_a_statement(error: Exception, *, broken: bool = False) -> DBAPIError:
    return DBAPIError("alter table t add x int", None, error, connection_invalidated=broken)


def connecting(error: Exception) -> DBAPIError:
    return DBAPIError(
        None, None, error, connection_invalidated=True
    )  # for SQLAlchemy, most of these are broken connections


def failure(error: BaseException) -> Failure:
    return SQLServer().failure(error)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(1222, f"{LOCKED}{GENERAL}".encode()),
        ProgrammingError("42000", f"[42000] {ODBC}[SQL Server]{LOCKED} (1222) (SQLExecDirectW)"),
        ProgrammingError("HYT00", f"[HYT00] {ODBC}[SQL Server]{LOCKED} (1222) (SQLExecDirectW)"),
        WordyError("Syntax error or access violation", f"[Microsoft][SQL Server]{LOCKED}"),
    ],
    ids=["pymssql", "pyodbc", "pyodbc-hyt00", "mssql-python"],
)
def test_a_lock_timeout_is_told_by_every_driver(error: Exception) -> None:
    for broken in (False, True):  # for SQLAlchemy, HYT00 is a broken connection
        reported = failure(in_a_statement(error, broken=broken))
        assert (reported.cause, reported.message) == ("lock-timeout", LOCKED)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OperationalError((18456, b"Login failed for user 'mage'.")), "password"),
        (OperationalError("28000", f"[28000] {ODBC}[SQL Server]Login failed for user 'x'. (18456) (SQLD)"), "password"),
        (WordyError("Invalid authorization specification", "[Microsoft]Login failed for user 'mage'."), "password"),
        (OperationalError((4060, b'Cannot open database "x" requested by the login.')), "no-database"),
        (WordyError("General error", '[Microsoft]Cannot open database "x" requested by the login.'), "no-database"),
        (OperationalError((20009, b"Unable to connect: TDS server is unavailable or does not exist (db1)\n")), "name"),
        (
            OperationalError((20009, b"does not exist (db1)\nNet-Lib error during Connection refused (111)\n")),
            "refused",
        ),
        (OperationalError((20009, b"TDS server connection timed out (127.0.0.1)\nOperating System error")), "timeout"),
        (WordyError("Client unable to establish connection", "[Microsoft]TCP Provider: Error code 0x2749"), "refused"),
        (WordyError("Client unable to establish connection", "[Microsoft]TCP Provider: Error code 0x2AF9"), "name"),
        (
            WordyError("Client unable to establish connection", "[Microsoft]TCP Provider: Timeout error [258]. "),
            "timeout",
        ),
        (
            WordyError("Connection operation failed", "Failed to load the driver. Please read the documentation"),
            "driver-missing",
        ),
        (OperationalError("HYT00", f"[HYT00] {ODBC}Login timeout expired (0) (SQLDriverConnect)"), "timeout"),
        (OperationalError("08001", f"[08001] {ODBC}SSL Provider: certificate verify failed (-1) (SQLDr)"), "tls"),
        (
            OperationalError("01000", "[01000] [unixODBC][Driver Manager]Can't open lib 'x' : file not found"),
            "driver-missing",
        ),
        (
            OperationalError(
                "08S01",
                "[08S01] [FreeTDS][SQL Server]Unable to connect: Adaptive Server is unavailable or does not exist "
                "(20009) (SQLDriverConnect)",
            ),
            "refused",
        ),
    ],
)
def test_why_there_is_no_connection(error: Exception, cause: str) -> None:
    assert failure(connecting(error)).cause == cause


ADVISED = {
    "pyodbc": "TrustServerCertificate=yes accepts it",
    "mssql_python": "TrustServerCertificate=yes accepts it",
    "pymssql": "The parameter encryption of the URL (off, request, require) or freetds.conf controls TLS.",
}


@pytest.mark.parametrize("driver", ADVISED)
def test_the_advice_about_tls_is_that_of_the_driver(driver: str) -> None:
    """PostgreSQL's sslmode means nothing to any of them."""
    kind = type("OperationalError", (Exception,), {"__module__": f"{driver}.errors"})
    advised = failure(connecting(kind("08001", "SSL Provider: certificate verify failed")))
    assert advised.cause == "tls" and ADVISED[driver] in (advised.advice or "")


def test_the_advice_for_a_missing_odbc_driver_and_a_bad_string_is_that_of_odbc() -> None:
    kind = type("Error", (Exception,), {"__module__": "pyodbc"})
    missing = failure(connecting(kind("01000", "[01000] [unixODBC][Driver Manager]Can't open lib 'x' : not found")))
    assert missing.cause == "driver-missing" and "ODBC Driver 18 for SQL Server" in (missing.advice or "")
    refused = failure(connecting(kind("28000", "[28000] Login failed for user 'mage'. (18456) (SQLDriverConnect)")))
    assert refused.cause == "password" and "each closing brace written twice" in (refused.advice or "")
    assert "mssql+pyodbc://?odbc_connect=" in (failure(ArgumentError("parsing failed")).advice or "")


def test_locks_on_parts_of_one_object_are_told_apart() -> None:
    """Two sessions may hold the same object in different subtypes, and do not block each other."""
    rows = [
        (61, "GRANT", "Sch-S", "METADATA", "STATS", None, None, "dbo", "object_id = 77", 0),
        (63, "WAIT", "Sch-M", "METADATA", "INDEXSTATS", None, None, "dbo", "object_id = 77", 0),
        (62, "GRANT", "Sch-S", "METADATA", "INDEXSTATS", None, None, "dbo", "object_id = 77", 0),
    ]
    assert SessionLocks(rows).blockers(63, 62) == ((62,), ())


def test_a_line_that_breaks_is_lost_and_no_failure_to_connect() -> None:
    for error in (
        OperationalError(20006, b"Write to the server failed"),
        OperationalError("08S01", f"[08S01] {ODBC}TCP Provider: Error code 0x68 (104) (SQLExecDirectW)"),
        WordyError("Communication link failure", "[Microsoft]TCP Provider: Error code 0x68"),
        OperationalError(596, b"Cannot continue the execution because the session is in the kill state."),
    ):
        assert failure(in_a_statement(error, broken=True)).cause == "lost"
    on_commit = OperationalError("Cannot commit transaction: (20047, b'DBPROCESS is dead or not enabled')")
    assert failure(connecting(on_commit)).cause == "lost"
    assert failure(in_a_statement(OperationalError(20003, b"connection timed out"), broken=True)).silent


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(1205, b"Transaction (Process ID 61) was deadlocked on lock resources"),
        WordyError(
            "Serialization failure",
            "[Microsoft][SQL Server]Transaction (Process ID 61) was deadlocked on lock "
            "resources with another process and has been chosen as the deadlock victim. Rerun the transaction.",
        ),
    ],
    ids=["pymssql", "mssql-python"],
)
def test_a_deadlock_is_told_from_a_failure(error: Exception) -> None:
    assert failure(in_a_statement(error)).cause == "deadlock"


def test_what_a_driver_says_before_it_speaks_to_a_server() -> None:
    assert failure(ArgumentError("Connection string parsing failed")).cause == "bad-url"
    assert failure(TimeoutError()) == Failure("timeout", "nobody answered", silent=True)
    assert failure(ConnectionRefusedError(111, "Connection refused")).cause == "refused"
    missing = failure(ModuleNotFoundError("No module named 'pymssql'", name="pymssql"))
    assert missing.cause == "driver-missing" and "magetui[mssql-pymssql]" in missing.message
    unloadable = failure(ImportError("libodbc.so.2: cannot open shared object file", name="pyodbc"))
    assert "unixODBC" in unloadable.message


def test_a_cancelled_statement_and_one_out_of_time_are_no_failures_of_the_script() -> None:
    cancelled = OperationalError("HY008", f"[HY008] {ODBC}Operation canceled (0) (SQLExecDirectW)")
    assert failure(in_a_statement(cancelled)).cause == "cancelled"
    expired = OperationalError("HYT00", f"[HYT00] {ODBC}Query timeout expired (0) (SQLExecDirectW)")
    assert failure(in_a_statement(expired, broken=True)).cause == "statement-timeout"
    failed = ProgrammingError("42S02", f"[42S02] {ODBC}[SQL Server]Invalid object name 't'. (208) (SQLExecDirectW)")
    assert failure(in_a_statement(failed)) == Failure("failed", "Invalid object name 't'.")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (300, "VIEW SERVER STATE permission was denied on object 'server'"),
        (300, "The user does not have permission to perform this action."),
        (208, "Invalid object name 'sys.dm_tran_locks'."),
    ],
)
def test_a_forbidden_view_is_known_by_words_where_there_is_no_number(number: int, words: str) -> None:
    assert error_number(WordyError("Syntax error or access violation", f"[Microsoft][SQL Server]{words}")) == number


# -- several result sets


class Sets:
    """A driver's connection and cursor in one, whose statement returns these result sets or raises an exception."""

    def __init__(self, *sets: Any) -> None:
        self._sets = list(sets)

    def cursor(self) -> Sets:
        return self

    def execute(self, _sql: str) -> None:
        self.nextset()

    def nextset(self) -> bool | None:
        if not self._sets:
            return None
        rows = self._sets.pop(0)
        if isinstance(rows, Exception):
            raise rows
        self.description = [("a",)] if rows is not None else None
        self._rows = rows
        return True

    def fetchall(self) -> Any:
        return self._rows

    def close(self) -> None:
        pass


class Dialect:
    class dbapi:  # noqa: N801 - SQLAlchemy's name
        Error = OperationalError

    dbapi_exception_translation_map: ClassVar[dict[str, str]] = {}

    def is_disconnect(self, *_: Any) -> bool:
        return False


def test_an_empty_set_before_the_rows_is_passed_over() -> None:
    dialect: Any = Dialect()
    assert run(dialect, Sets(None, [[0]]), "exec …") == [(0,)]
    assert run(dialect, Sets([[1, 2]], None), "exec …") == [(1, 2)]
    assert run(dialect, Sets(None), "kill 61") == []


def test_an_error_that_comes_with_a_later_set_is_not_missed() -> None:
    dialect: Any = Dialect()
    with pytest.raises(DBAPIError) as caught:
        run(dialect, Sets(None, OperationalError(1222, b"late")), "exec …")
    assert error_number(caught.value.orig) == 1222


# -- who waits for whom


def held(pid: int, status: str, mode: str, table: str = "t1", schema: str = "dbo") -> tuple[Any, ...]:
    """Return a row of sql/locks.sql for a lock on a table."""
    return (pid, status, mode, "OBJECT", "", schema, table, "dbo", "", 77)


def test_a_change_of_the_schema_waits_for_all_who_use_the_table() -> None:
    """The server names one session; the other sessions would block as soon as that session has ended."""
    locks = SessionLocks([held(61, "GRANT", "IX"), held(62, "GRANT", "Sch-S"), held(63, "WAIT", "Sch-M")])
    assert locks.blockers(63, 61) == ((61, 62), ())
    assert locks.waits_for(63, "LCK_M_SCH_M") == LockWait("t1", "SCHEMA MODIFICATION")
    assert locks.held(61) == (HeldLock("t1", "INTENT EXCLUSIVE"),)


def test_whoever_only_waits_before_it_is_told_from_who_holds_the_table() -> None:
    locks = SessionLocks([held(61, "GRANT", "IX"), held(63, "WAIT", "Sch-M"), held(64, "WAIT", "IS")])
    assert locks.blockers(64, 63) == ((63,), (63,))
    assert locks.blockers(61, 0) == ((), ())


def test_a_wait_is_told_where_no_lock_may_be_seen() -> None:
    assert SessionLocks([]).waits_for(63, "LCK_M_SCH_M") == LockWait(None, "SCHEMA MODIFICATION")
    assert SessionLocks([]).waits_for(63, "ASYNC_NETWORK_IO") is None


# -- URLs, and what is imported


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("mssql+pyodbc://mage:pw@db1/x?driver=FreeTDS&port=1433", "Server=db1;Database=x;UID=mage;PWD=pw;port=1433"),
        (
            "mssql+pyodbc://?odbc_connect=DRIVER={ODBC Driver 18 for SQL Server};SERVER=a,1433;PWD={x}}y;z};",
            "PWD={x}}y;z};",
        ),
        ("mssql://mage:pw@db1:1433/x?driver=ODBC+Driver+18+for+SQL+Server", "DRIVER={ODBC Driver 18 for SQL Server};"),
        ("mssql+mssqlpython://mage:p%7Dw@db1:1433/x?Encrypt=yes", "Server=db1,1433;Database=x;UID=mage;PWD={p}}w}"),
    ],
)
def test_a_url_reaches_the_driver_as_it_was_meant(text: str, arguments: str) -> None:
    target = parse_target(text, "--url")
    [given], _ = target.url.get_dialect()().create_connect_args(target.url)
    assert arguments in given
    assert "pw" not in target.redacted and "x}}y" not in target.redacted and "%7Dw" not in target.redacted


def test_a_driver_that_cannot_be_used_is_told_with_those_that_can() -> None:
    assert "takes 2.1 or later; mssql+pyodbc and mssql+pymssql connect" in dialect_missing("mssql+mssqlpython")
    for driver in ("nothing", "pytds", "aioodbc"):
        with pytest.raises(ConnectError, match=rf"magetui does not work with mssql\+{driver}; mssql\+pyodbc") as caught:
            parse_target(f"mssql+{driver}://db1/x", "--url")
        assert caught.value.cause == "driver-missing"
        assert "Write one of these in the URL" in caught.value.message


def test_no_driver_is_imported_before_it_is_needed() -> None:
    program = (
        "import json, sys; from sqlalchemy.engine import make_url; from magetui.backends import backend_for;"
        "backend_for(make_url('mssql+pymssql://db1/x')); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(json.loads(done.stdout))
    assert "magetui.backends.mssql.backend" in loaded
    assert not loaded & {
        "pyodbc",
        "pymssql",
        "mssql_python",
        "pytds",
        "psycopg2",
        "magetui.backends.postgresql.backend",
    }


def test_the_mutex_has_a_name_that_can_be_read_in_the_list_of_locks() -> None:
    """sys.dm_tran_locks shows the first 32 characters of an application lock's name, and a hash of the rest."""
    engine: Any = None  # the mutex connects when it is acquired
    mutex = AppLock(engine, 2**63 - 1)
    assert mutex.name == f"magetui {2**63 - 1}"
    assert len(mutex.name) <= 32 and len(mutex.token) == 32
