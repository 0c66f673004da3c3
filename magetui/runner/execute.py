"""One run: the mutex, the marker that was consented to, Alembic's steps, and what the database says afterwards.

Alembic itself executes (`EnvironmentContext` with an `fn` of ours, whose steps it consumes one by one, so that an
event stands around each). Mage's chain runs on a connection of ours, without its `env.py`, which would import the
whole application and then do the same; any other project runs its own `env.py`.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import socket
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import RevisionStep, StampStep
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, event
from sqlalchemy.dialects import registry
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from magetui.backends import backend_for
from magetui.backends.base import Backend, Failure, WriteHooks
from magetui.runner import events
from magetui.runner.journal import Journal, now
from magetui.runner.redaction import redact_url
from magetui.runner.request import PlannedStep, Request
from magetui.runner.watch import Progress, RunCancelled, RunningStatement, Watcher

MUTEX_PULSE_SECONDS = 0.2
READ_BACK_SECONDS = 15.0
STATEMENT_TEXT_LIMIT = 20_000
CATALOG_READS = ("pg_catalog.", "PRAGMA", "pragma", "sqlite_master")


class RunRefused(Exception):  # noqa: N818 - it says what happened
    """The database or the scripts are not as they were when the plan was made; nothing was changed."""


class MutexTaken(Exception):  # noqa: N818
    """Somebody else was migrating for as long as we were willing to wait."""


class Run:
    """Carries one request out and writes its journal; `execute` never raises for what a migration does."""

    def __init__(self, request: Request, journal: Journal) -> None:
        self._request = request
        self._journal = journal
        self._url = make_url(request.url)
        self._backend: Backend = backend_for(self._url)
        self._reader = self._backend.reader(self._url, f"{request.application_name} watcher")
        self._progress = Progress()
        self._statements = 0
        self._uncommitted = 0
        self._committed = False
        self._commit_began: bool | None = None  # while one is not known to have succeeded: what `_committed` was
        self._last_statement: str | None = None
        self._started = time.monotonic()

    def execute(self) -> events.Outcome:
        request = self._request
        watcher = Watcher(self._backend, self._reader, self._journal, request.timeouts, self._progress)
        watcher.start()  # first: who reads of this process may signal it at once
        self._journal.append(
            events.RunStarted(
                at=now(),
                run=request.run,
                verb=request.verb,
                target=request.target,
                marker=request.marker,
                steps=request.steps,
                database=redact_url(request.url),
                project=request.scripts.script_location,
                pid=os.getpid(),
                user=getpass.getuser(),
                host=socket.gethostname(),
                lock_timeout_ms=request.timeouts.lock_ms,
                statement_timeout_ms=request.timeouts.statement_ms,
            )
        )
        failure: Failure | None = None
        where: str | None = None
        outcome: events.Outcome = "done"
        try:
            self._change()
        except RunCancelled:
            outcome = "cancelled"
        except (RunRefused, MutexTaken) as error:
            outcome = "refused" if isinstance(error, RunRefused) else "lock-timeout"
            failure = Failure("failed", str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a script raises is how the run ended
            failure, where = self._explained(error)
            outcome = self._outcome_of(failure)
        watcher.stop()
        marker = self._read_back(patient=outcome == "lost")
        if outcome == "lost" and marker is not None and marker == self._expected_marker():
            outcome = "done"  # the connection broke after the commit
        self._journal.append(
            events.RunEnded(
                at=now(),
                outcome=outcome,
                marker=marker,
                elapsed_ms=self._elapsed_ms(),
                committed=self._committed,
                error=failure.message if failure else None,
                where=where,
                statement=self._last_statement if outcome not in ("done", "refused") else None,
            )
        )
        return outcome

    # -- the change

    def _change(self) -> None:
        request = self._request
        mutex = self._backend.mutex(self._url, request.mutex_key, f"{request.application_name} mutex", request.verb)
        with closing(_Released(mutex)):
            self._take(mutex)
            marker = self._marker()
            if request.verb == "migrate" and marker == self._expected_marker() != request.marker:
                return  # somebody who held the mutex before us did this very work
            if sorted(marker) != sorted(request.marker):
                raise RunRefused(
                    f"The plan was made for the marker {_spoken(request.marker)}, and the database now says "
                    f"{_spoken(marker)}: somebody else changed it. Nothing was done; look again and plan anew."
                )
            self._listen()
            if request.replace_unknown is not None:
                self._compare_and_swap()
            else:
                self._run_alembic()

    def _take(self, mutex: Any) -> None:
        started = time.monotonic()
        told = False
        while not mutex.try_acquire():
            self._progress.check()
            waited_ms = int((time.monotonic() - started) * 1000)
            if not told:
                told = True
                with self._reader.connect() as connection:
                    holder = self._backend.mutex_holder(connection, self._request.mutex_key, self._url)
                self._journal.append(
                    events.MutexAwaited(
                        at=now(),
                        timeout_ms=self._request.timeouts.lock_ms,
                        holder=holder.session if holder else None,
                        note=holder.described() if holder else None,
                    )
                )
            if self._request.timeouts.lock_ms and waited_ms > self._request.timeouts.lock_ms:
                raise MutexTaken(
                    f"Somebody else is migrating this database and did not finish within "
                    f"{self._request.timeouts.lock_ms / 1000:g} s. Nothing was done."
                )
            self._progress.cancelled.wait(MUTEX_PULSE_SECONDS)
        waited_ms = int((time.monotonic() - started) * 1000)
        self._journal.append(events.MutexTaken(at=now(), waited_ms=waited_ms))

    def _listen(self) -> None:
        """Hear what every engine of this process does from now on, and put our limits on its connections."""
        listeners = (
            ("before_cursor_execute", self._statement_began),
            ("after_cursor_execute", self._statement_ended),
            ("handle_error", self._statement_failed),
            ("commit", self._committing),
            ("rollback", self._rolling_back),
        )
        # The backend's own listeners come first: SQLite's commit may fail in one of them.
        self._backend.prepare_writer(Engine, self._request.timeouts, self._hooks())
        for name, listener in listeners:
            event.listen(Engine, name, listener)

    def _run_alembic(self) -> None:
        _prefer_installed_driver()
        scripts = self._request.scripts
        config = alembic_config(self._request)
        script = ScriptDirectory.from_config(config)
        environment = EnvironmentContext(
            config,
            script,
            fn=lambda heads, _context: self._steps(script, heads),
            destination_rev=self._request.target,
            transactional_ddl=True,
        )
        with environment:
            if scripts.kind == "alembic":
                script.run_env()
                return
            engine = self._backend.writer(self._url, self._request.application_name)
            with engine.connect() as connection:
                environment.configure(
                    connection=connection,
                    version_table=scripts.version_table,
                    version_table_schema=scripts.version_table_schema,
                    transactional_ddl=True,
                )
                with environment.begin_transaction():
                    environment.run_migrations()

    def _steps(self, script: ScriptDirectory, heads: Any) -> Iterator[Any]:
        """Alembic's own steps, one by one, refused where they are not those that were consented to."""
        steps: Sequence[RevisionStep | StampStep]
        if self._request.verb == "migrate":
            steps = script._upgrade_revs(self._request.target, heads)
        elif self._request.verb == "rollback":
            steps = script._downgrade_revs(self._request.target, heads)
        else:
            steps = script._stamp_revs(self._request.target, heads)
        planned = self._request.steps
        revisions = [step.revision.revision for step in steps if isinstance(step, RevisionStep)]
        if self._request.verb != "stamp" and revisions != [step.revision for step in planned]:
            raise RunRefused("The migration scripts are not what they were when the plan was made. Plan anew.")
        for number, step in enumerate(steps, start=1):
            told = planned[number - 1] if number <= len(planned) else PlannedStep(self._request.target, "stamp", "")
            with self._told(told, number, len(steps)):
                yield step
        self._progress.check()

    @contextmanager
    def _told(self, step: PlannedStep, number: int, of: int) -> Iterator[None]:
        """An event before a step, and one after it unless it fails."""
        self._progress.check()
        started = events.StepStarted(
            at=now(),
            number=number,
            of=of,
            revision=step.revision,
            direction=step.direction,
            message=step.message,
        )
        self._journal.append(started)
        began = time.monotonic()
        yield
        elapsed_ms = int((time.monotonic() - began) * 1000)
        self._journal.append(events.StepEnded(at=now(), number=number, revision=step.revision, elapsed_ms=elapsed_ms))

    def _compare_and_swap(self) -> None:
        """Replace exactly the unknown marker that was named, in one statement, or refuse."""
        scripts, unknown = self._request.scripts, self._request.replace_unknown
        version = Table(
            scripts.version_table,
            MetaData(),
            Column("version_num", String),
            schema=scripts.version_table_schema,
        )
        engine = self._backend.writer(self._url, self._request.application_name)
        with self._told(self._request.steps[0], 1, 1), engine.begin() as connection:
            matches = version.c.version_num == unknown
            if self._request.target == "base":
                result = connection.execute(version.delete().where(matches))
            else:
                result = connection.execute(version.update().where(matches).values(version_num=self._request.target))
            if result.rowcount != 1:
                raise RunRefused(f"The marker {unknown} is not there any more. Nothing was changed.")

    # -- what SQLAlchemy tells while Alembic works

    def _statement_began(
        self,
        connection: Connection,
        _cursor: Any,
        statement: str,
        _parameters: Any,
        _context: Any,
        _many: bool,
    ) -> None:
        if connection.get_execution_options().get("magetui_reads"):
            return
        self._commit_began = None
        self._progress.check()
        self._statements += 1
        self._progress.statement = RunningStatement(self._statements, connection, time.monotonic())
        if not _is_catalog_read(statement):
            self._last_statement = statement[:STATEMENT_TEXT_LIMIT]
            self._journal.append(
                events.StatementStarted(
                    at=now(),
                    number=self._statements,
                    sql=self._last_statement,
                    session=self._backend.session_id(connection),
                )
            )

    def _statement_ended(
        self,
        connection: Connection,
        _cursor: Any,
        statement: str,
        _parameters: Any,
        _context: Any,
        _many: bool,
    ) -> None:
        running = self._progress.statement
        if running is None or connection.get_execution_options().get("magetui_reads"):
            return
        self._progress.statement = None
        if not _is_catalog_read(statement):
            reads_marker = statement.startswith("SELECT") and self._request.scripts.version_table in statement
            if not reads_marker:
                self._uncommitted += 1
                if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
                    self._committed = True
            elapsed_ms = int((time.monotonic() - running.started) * 1000)
            self._journal.append(events.StatementEnded(at=now(), number=running.number, elapsed_ms=elapsed_ms))

    def _statement_failed(self, context: ExceptionContext) -> None:
        """A statement failed, or the commit did that was told of just before it; the watcher's own do not count."""
        if context.connection is not None and context.connection.get_execution_options().get("magetui_reads"):
            return
        self._progress.statement = None
        if self._commit_began is not None:
            self._committed, self._commit_began = self._commit_began, None

    def _committing(self, connection: Connection) -> None:
        if not connection.get_execution_options().get("magetui_reads"):
            self._commit_began = self._committed
            self._committed = self._committed or self._uncommitted > 0
            self._uncommitted = 0

    def _rolling_back(self, connection: Connection) -> None:
        if not connection.get_execution_options().get("magetui_reads"):
            self._uncommitted = 0
            self._commit_began = None

    def _hooks(self) -> WriteHooks:
        return WriteHooks(waited=self._waited, obtained=self._obtained)

    def _obtained(self) -> None:
        self._progress.waiting = False

    def _waited(self, elapsed_ms: int) -> None:
        self._progress.waited_ms = elapsed_ms
        self._progress.waiting = True
        self._progress.check()

    # -- what became of it

    def _marker(self) -> tuple[str, ...]:
        scripts = self._request.scripts
        with self._reader.connect() as connection:
            tables = self._backend.version_tables(connection, scripts.version_table, scripts.version_table_schema)
        effective = next((table for table in tables if table.effective), None)
        if effective is None:
            return ()
        if effective.rows is None:
            raise RunRefused(f"The version table cannot be read: {effective.problem} Nothing was done.")
        return effective.rows

    def _read_back(self, *, patient: bool) -> tuple[str, ...] | None:
        """The marker as the database has it now; a server that restarts is waited for."""
        deadline = time.monotonic() + (READ_BACK_SECONDS if patient else 0)
        while True:
            try:
                return self._marker()
            except (SQLAlchemyError, RunRefused, OSError):
                if time.monotonic() >= deadline:
                    return None  # RunEnded says that it could not be read
                time.sleep(MUTEX_PULSE_SECONDS)

    def _expected_marker(self) -> tuple[str, ...]:
        return () if self._request.target == "base" else (self._request.target,)

    def _explained(self, error: BaseException) -> tuple[Failure, str | None]:
        if isinstance(error, SystemExit):
            failure = Failure("failed", f"env.py or a script ended the process with status {error.code}.")
        elif isinstance(error, (DBAPIError, OSError)) or type(error).__module__ == "sqlite3":
            failure = self._backend.failure(error)
        else:
            failure = Failure("failed", f"{type(error).__name__}: {error}")
        return failure, _place_of(error, self._request.scripts.version_locations)

    def _outcome_of(self, failure: Failure) -> events.Outcome:
        if self._progress.cancelled.is_set():
            return "cancelled"
        if self._progress.timed_out.is_set():
            return "statement-timeout"
        if failure.cause in ("lock-timeout", "statement-timeout", "cancelled", "lost", "failed"):
            return failure.cause
        return "failed"

    def _elapsed_ms(self) -> int:
        return int((time.monotonic() - self._started) * 1000)


class _Released:
    """Lets `contextlib.closing` give a mutex back."""

    def __init__(self, mutex: Any) -> None:
        self.close = mutex.release


def _prefer_installed_driver() -> None:
    """Let a plain `postgresql://` mean psycopg2 where psycopg 3 is missing: SQLAlchemy 2.1 changed the default."""
    if importlib.util.find_spec("psycopg") is None and importlib.util.find_spec("psycopg2") is not None:
        registry.register("postgresql", "sqlalchemy.dialects.postgresql.psycopg2", "dialect")


def alembic_config(request: Request) -> Config:
    """Alembic's configuration for the request; percent signs doubled, since ConfigParser interpolates."""
    scripts = request.scripts
    config = Config(scripts.config_file) if scripts.config_file else Config()
    if scripts.kind == "mage":
        config.set_main_option("script_location", scripts.script_location.replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", request.url.replace("%", "%%"))
    return config


def _is_catalog_read(statement: str) -> bool:
    return any(word in statement[:2000] for word in CATALOG_READS)


def _place_of(error: BaseException, version_locations: tuple[str, ...]) -> str | None:
    """The innermost frame of a traceback that stands in a migration script: 'file.py, line 12'."""
    folders = {Path(location).resolve() for location in version_locations}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).resolve().parent in folders:
            return f"{frame.filename}, line {frame.lineno}"
    return None


def _spoken(marker: tuple[str, ...]) -> str:
    return ", ".join(marker) if marker else "(none)"
