"""One run: the mutex, the current revision that was consented to, Alembic's steps, and what the database says afterwards.

Alembic itself executes (`EnvironmentContext` with an `fn` of ours, whose steps it consumes one by one, so that an
event stands around each). Mage's chain runs on a connection of ours, without its `env.py`, which would import the
whole application and then do the same; any other project runs its own `env.py`.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from magetui.backends import backend_for
from magetui.backends.base import Backend, Mutex, WriteHooks
from magetui.model.plan import PlannedStep
from magetui.model.server import Failure
from magetui.protocol import events
from magetui.protocol.journal import Journal, now
from magetui.protocol.machine import identity
from magetui.protocol.redaction import password_spellings, redact_url
from magetui.protocol.requests import Request
from magetui.runner.alembic_config import alembic_config, prefer_installed_driver
from magetui.runner.env_context import OneDatabase, create_schema
from magetui.runner.error_location import place_of
from magetui.runner.refusals import MutexKept, RunRefused, refuse_pooler, require_sessions
from magetui.runner.retries import Retries
from magetui.runner.statement_log import StatementLog
from magetui.runner.version_table import VersionTableUnreadable, read_current, replace_current
from magetui.runner.watch import Progress, RunCancelled, Watcher

MUTEX_PULSE_SECONDS = 0.2
READ_BACK_SECONDS = 15.0


class Run:
    """Carries one request out and writes its journal; `execute` never raises for what a migration does."""

    def __init__(self, request: Request, journal: Journal, line: int | None = None) -> None:
        self._request = request
        self._plan = request.plan
        self._line = line if request.on_disconnect == "cancel" else None
        self._journal = journal
        self._url = make_url(request.url)
        self._backend: Backend = backend_for(self._url)
        self._reader = self._backend.reader(self._url, request.name_of("watcher"))
        self._progress = Progress()
        self._books = StatementLog(
            self._backend, journal, self._progress, request.scripts.version_table, request.application_name
        )
        self._attempts = Retries(journal, self._progress.cancelled, request.lock_retries, self._what_forbids_another)
        self._pooled = False  # the run's own connections go through a pooler that keeps sessions
        self._left_in_peace = False  # env.py or a script said sys.exit(0)
        self._started = time.monotonic()

    def execute(self) -> events.Outcome:
        request = self._request
        watcher = Watcher(self._backend, self._reader, self._journal, request.timeouts, self._progress, line=self._line)
        watcher.start()  # first: who reads of this process may signal it at once
        self._journal.append(
            events.RunStarted(
                at=now(),
                run=request.run,
                verb=self._plan.verb,
                target_revision=self._plan.target_revision,
                current=self._plan.current,
                steps=self._plan.steps,
                database=redact_url(request.url),
                project=request.scripts.script_location,
                pid=os.getpid(),
                user=getpass.getuser(),
                host=socket.gethostname(),
                lock_timeout_ms=request.timeouts.lock_ms,
                statement_timeout_ms=request.timeouts.statement_ms,
                machine=identity(),
                lock_retries=request.lock_retries,
                on_disconnect=request.on_disconnect,
            )
        )
        failure: Failure | None = None
        where: str | None = None
        outcome: events.Outcome = "done"
        try:
            self._change()
        except RunCancelled:
            outcome = "cancelled"
        except MutexKept as error:
            outcome, failure = "lock-timeout", Failure("failed", str(error))
        except VersionTableUnreadable as error:
            outcome, failure = "refused", Failure("failed", f"{error} Nothing was done.")
        except RunRefused as error:
            outcome, failure = "refused", Failure("failed", str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a script raises is how the run ended
            failure, where = self._explained(error)
            outcome = self._outcome_of(failure)
        watcher.stop()
        if outcome == "lost":
            self._journal.append(events.ConnectionBroke(at=now(), tries_ms=round(READ_BACK_SECONDS * 1000)))
        current = self._read_back(patient=outcome == "lost")
        reached = current is not None and sorted(current) == sorted(self._plan.result)
        if reached and (outcome == "lost" or self._left_in_peace):
            outcome, failure = "done", None  # the connection broke after the commit; env.py ended the process
        elif outcome == "done" and current is not None and not reached:
            outcome = "failed"
            failure = Failure(
                "failed",
                f"The scripts ended without an error, and yet the current revision is {_spoken(current)}, "
                f"not {_spoken(self._plan.result)}: what they did was not committed, or not here.",
            )
        self._journal.append(
            events.RunEnded(
                at=now(),
                outcome=outcome,
                current=current,
                elapsed_ms=self._elapsed_ms(),
                committed=self._books.committed,
                error=failure.message if failure else None,
                where=where,
                statement=self._books.last_statement if outcome not in ("done", "refused") else None,
            )
        )
        return outcome

    # -- the change

    def _change(self) -> None:
        request = self._request
        self._require_sessions()
        mutex = self._backend.mutex(self._url, request.mutex_key, request.name_of("mutex"), self._plan.verb)
        with ExitStack() as held:
            held.callback(mutex.release)
            self._again_after_lock_timeout(lambda: self._take(mutex))
            current = self._current()
            if self._plan.verb == "migrate" and sorted(current) == sorted(self._plan.result) != sorted(
                self._plan.current
            ):
                return  # somebody who held the mutex before us did this very work
            if sorted(current) != sorted(self._plan.current):
                raise RunRefused(
                    f"The plan was made for the current revision {_spoken(self._plan.current)}, and the database now says "
                    f"{_spoken(current)}: somebody else changed it. Nothing was done; look again and plan anew."
                )
            self._listen()
            if self._plan.repair is not None:
                self._again_after_lock_timeout(self._mend)
            elif self._plan.replace_unknown is not None:
                self._again_after_lock_timeout(self._compare_and_swap)
            else:
                self._again_after_lock_timeout(lambda: self._run_alembic(mutex))

    def _require_sessions(self) -> None:
        """Refuse a pooler that would give each transaction another session: the mutex would be held by nobody."""
        with self._reader.connect() as connection:
            pooler = self._backend.server(connection).pooler
            password = self._backend.password_used(connection)
        if password:
            self._journal.hide(password_spellings(password, redact_url(self._request.url)))
        self._pooled = pooler is not None
        require_sessions(pooler)

    def _again_after_lock_timeout(self, change: Callable[[], None]) -> None:
        """Do it, and again where a lock was not to be had in time, as often as was asked for and nothing was left."""
        while True:
            try:
                change()
            except MutexKept as error:
                if not self._attempts.another_is_due(str(error)):
                    raise
            except Exception as error:
                failure, _ = self._explained(error)
                if self._outcome_of(failure) != "lock-timeout" or not self._attempts.another_is_due(failure.message):
                    raise
            else:
                return
            self._progress.check()

    def _what_forbids_another(self) -> str | None:
        if self._books.committed:
            return "part of it is committed already, as an autocommit_block does, and cannot be done twice"
        if not self._books.atomic:
            return "env.py opened a connection of its own kind, of which nobody knows what it left behind"
        try:
            current = self._current()
        except (SQLAlchemyError, VersionTableUnreadable, OSError) as unread:
            return f"the current revision cannot be read: {self._explained(unread)[0].message}"
        if sorted(current) != sorted(self._plan.current):
            return f"the current revision is {_spoken(current)} by now"
        return None

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
                raise MutexKept(
                    f"Somebody else is migrating this database and did not finish within "
                    f"{self._request.timeouts.lock_ms / 1000:g} s. Nothing was done."
                )
            self._progress.cancelled.wait(MUTEX_PULSE_SECONDS)
        waited_ms = int((time.monotonic() - started) * 1000)
        self._journal.append(events.MutexTaken(at=now(), waited_ms=waited_ms))

    def _listen(self) -> None:
        """Put our limits on every connection of this process, and hear what they do."""
        # The backend's own listeners come first: SQLite's commit may fail in one of them.
        self._backend.prepare_writer(Engine, self._request.timeouts, self._hooks(), self._request.application_name)
        self._books.listen()

    def _run_alembic(self, mutex: Mutex) -> None:
        prefer_installed_driver()
        scripts = self._request.scripts
        config = alembic_config(scripts, self._request.url)
        script = ScriptDirectory.from_config(config)
        environment = OneDatabase(
            config,
            script,
            lambda connection: not scripts.several or self._is_target(connection, mutex),
            lambda context: self._make_schema(context, mutex),
            fn=lambda heads, context: self._steps(script, heads, context.connection, mutex),
            destination_rev=self._plan.target_revision,
            transactional_ddl=True,
            purge=self._plan.purge,
        )
        with environment:
            if scripts.kind == "alembic":
                script.run_env()
                self._require_met(environment.met or not scripts.several)
                return
            with self._writer().connect() as connection:
                environment.configure(
                    connection=connection,
                    version_table=scripts.version_table,
                    version_table_schema=scripts.version_table_schema,
                    transactional_ddl=True,
                )
                with environment.begin_transaction():
                    environment.run_migrations()

    def _make_schema(self, context: MigrationContext, mutex: Mutex) -> None:
        if self._plan.creates_schema is not None:
            self._require_met(self._is_target(context.connection, mutex))
            create_schema(context, self._plan.creates_schema)

    def _steps(self, script: ScriptDirectory, heads: Any, connection: Connection | None, mutex: Mutex) -> Iterator[Any]:
        """Alembic's own steps, one by one, refused where they are not those that were consented to."""
        self._require_target(connection, heads, mutex)
        steps: Sequence[RevisionStep | StampStep]
        if self._plan.verb == "migrate":
            steps = script._upgrade_revs(self._plan.target_revision, heads)
        elif self._plan.verb == "rollback":
            steps = script._downgrade_revs(self._plan.target_revision, heads)
        else:
            steps = script._stamp_revs(self._plan.target_revision, heads)
        planned = self._plan.steps
        revisions = [step.revision.revision for step in steps if isinstance(step, RevisionStep)]
        # As sets: on a branched chain the order of downgrades is Alembic's own, by the order of rows and files.
        if self._plan.verb != "stamp" and sorted(revisions) != sorted(step.revision for step in planned):
            raise RunRefused("The migration scripts are not what they were when the plan was made. Plan anew.")
        numbers = {step.revision: number for number, step in enumerate(planned, start=1)}
        for step in steps:
            number = numbers[step.revision.revision] if isinstance(step, RevisionStep) else 1
            with self._told(planned[number - 1], number, len(planned)):
                yield step
        self._progress.check()

    def _require_target(self, connection: Connection | None, heads: Any, mutex: Mutex) -> None:
        """Refuse where env.py works on another database, or another version table, than the plan was made for."""
        self._require_met(self._is_target(connection, mutex))
        if not self._plan.purge and sorted(heads) != sorted(self._plan.current):
            raise RunRefused(
                f"env.py works on a version table that says {_spoken(tuple(heads))}, and the plan was made for "
                f"{_spoken(self._plan.current)}: it configures a version table of its own. Nothing was done."
            )

    def _is_target(self, connection: Connection | None, mutex: Mutex) -> bool:
        return connection is not None and self._backend.is_target(connection, self._url, mutex)

    def _require_met(self, met: bool) -> None:
        if not met:
            raise RunRefused(
                f"env.py connects to another database than {redact_url(self._request.url)}. Nothing was done. Let "
                "env.py take sqlalchemy.url from its configuration, or name the database that it uses with --url."
            )

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

    def _writer(self) -> Engine:
        return self._backend.writer(self._url, self._request.application_name)

    def _compare_and_swap(self) -> None:
        """Replace exactly the unknown current revision that was named, in one statement, or refuse."""
        request, unknown = self._request, self._plan.replace_unknown
        assert unknown is not None
        new = None if self._plan.target_revision == "base" else self._plan.target_revision
        with self._told(self._plan.steps[0], 1, 1), self._writer().begin() as connection:
            if not replace_current(connection, request.scripts, unknown, new):
                raise RunRefused(f"The current revision {unknown} is not there any more. Nothing was changed.")

    def _mend(self) -> None:
        """Finish a revision that is half there, or take it back."""
        from magetui.runner.repair import ScriptsChanged, mend

        request = self._request
        assert self._plan.repair is not None
        with self._told(self._plan.steps[0], 1, 1), self._writer().connect() as connection:
            try:
                mend(connection, request.scripts, self._plan.repair, self._plan.result)
            except ScriptsChanged as error:
                raise RunRefused(str(error)) from error

    # -- waiting in short tries

    def _hooks(self) -> WriteHooks:
        hooks = WriteHooks(waited=self._waited, obtained=self._obtained)
        return hooks if self._pooled else replace(hooks, pooled=refuse_pooler)

    def _obtained(self) -> None:
        self._progress.waiting = False

    def _waited(self, elapsed_ms: int) -> None:
        self._progress.waited_ms = elapsed_ms
        self._progress.waiting = True
        self._progress.check()

    # -- what became of it

    def _current(self) -> tuple[str, ...]:
        return read_current(self._backend, self._reader, self._request.scripts)

    def _read_back(self, *, patient: bool) -> tuple[str, ...] | None:
        """The current revision as the database has it now; a server that restarts is waited for."""
        deadline = time.monotonic() + (READ_BACK_SECONDS if patient else 0)
        while True:
            try:
                return self._current()
            except (SQLAlchemyError, VersionTableUnreadable, OSError):
                if time.monotonic() >= deadline:
                    return None  # RunEnded says that it could not be read
                time.sleep(MUTEX_PULSE_SECONDS)

    def _explained(self, error: BaseException) -> tuple[Failure, str | None]:
        if isinstance(error, SystemExit):
            self._left_in_peace = error.code in (None, 0)
            failure = Failure("failed", f"env.py or a script ended the process with status {error.code}.")
        elif isinstance(error, (DBAPIError, OSError)) or type(error).__module__ == "sqlite3":
            failure = self._backend.failure(error)
        else:
            failure = Failure("failed", f"{type(error).__name__}: {error}")
        return failure, place_of(error, self._request.scripts.version_locations)

    def _outcome_of(self, failure: Failure) -> events.Outcome:
        if failure.cause == "lost" or self._progress.abandoned.is_set():
            return "lost"  # even where a cancel was asked for: it may have come too late
        if self._progress.cancelled.is_set():
            return "cancelled"
        if self._progress.timed_out.is_set():
            return "statement-timeout"
        if failure.cause in ("lock-timeout", "statement-timeout", "cancelled", "lost", "failed"):
            return failure.cause
        return "failed"

    def _elapsed_ms(self) -> int:
        return int((time.monotonic() - self._started) * 1000)


def _spoken(current: tuple[str, ...]) -> str:
    return ", ".join(current) if current else "(none)"
