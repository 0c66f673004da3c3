"""One run: it takes the mutex, checks the plan, lets Alembic execute the steps, and reads the current revision back.

Alembic itself executes, in an `EnvironmentContext` with an `fn` of this module. Alembic consumes the steps of `fn` one
by one, so an event can be written before and after each step. Mage's chain runs on a connection of this module, without
its `env.py`, which would import all of Mage and then do the same. Any other project runs its own `env.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from magetui.backends import backend_for
from magetui.backends.base import Backend, Mutex, WriteHooks
from magetui.model.plan import PlannedStep
from magetui.model.server import Failure
from magetui.protocol import events
from magetui.protocol.contents import changed
from magetui.protocol.journal import Journal, milliseconds_since, now
from magetui.protocol.machine import this_process
from magetui.protocol.redaction import password_spellings, redact_url
from magetui.protocol.requests import Request
from magetui.runner.alembic_config import alembic_config, prefer_installed_driver, script_files
from magetui.runner.ending import Ending, ReadBack, listed
from magetui.runner.env_context import OneVersionTable, create_schema
from magetui.runner.refusals import MutexTimeout, RunRefused, refuse_pooler, require_sessions
from magetui.runner.retries import Retries
from magetui.runner.schema_check import SchemaCheck, described
from magetui.runner.script_errors import causes_of, error_location, error_text
from magetui.runner.statement_log import StatementLog
from magetui.runner.turn import Turn
from magetui.runner.version_table import (
    VersionTableUnreadable,
    read_current,
    replace_current,
    uses_version_table,
)
from magetui.runner.watch import Progress, RunCancelled, Watcher


class Run:
    """One run. `execute` carries out its request and writes its journal; no error of a migration leaves `execute`."""

    def __init__(self, request: Request, journal: Journal, line: int | None = None, wanted: Path | None = None) -> None:
        """Prepare a run. If the pipe `line` ends, or the file `wanted` appears, the run is to stop."""
        self._request = request
        self._plan = request.plan
        self._line = line if request.on_disconnect == "cancel" else None
        self._journal = journal
        self._url = make_url(request.url)
        self._backend: Backend = backend_for(self._url)
        self._reader = self._backend.reader(self._url, request.session_name("watcher"))
        self._wanted = wanted
        self._progress = Progress(frozenset(map(str, script_files(request.scripts))))
        self._schema = SchemaCheck(self._backend, self._reader)
        self._statements = StatementLog(
            self._backend,
            journal,
            self._progress,
            request.scripts.version_table,
            request.session_name(),
            self._schema.note,
        )
        self._retries = Retries(journal, self._progress.cancelled, request.lock_retries, self._reason_against_retry)
        self._pooled = False  # whether the run's own connections go through a pooler, which keeps sessions
        self._exited_normally = False  # whether env.py or a script called sys.exit(0)
        self._started = time.monotonic()

    def execute(self) -> events.Outcome:
        """Carry out the request and return the outcome, which is the last event of the journal too."""
        limits = self._request.timeouts
        watcher = Watcher(self._backend, self._reader, self._journal, limits, self._progress, self._line, self._wanted)
        watcher.start()  # before the first event: whoever reads of this process may signal it at once
        self._journal.append(self._run_started())
        ending = self._change()
        watcher.stop()
        read_back = ReadBack(self._plan, self._schema, self._read_current)
        if ending.outcome == "lost":
            self._journal.append(events.ConnectionBroke(at=now(), tries_ms=read_back.patience_ms))
        committed = self._statements.committed
        ending = read_back.proven(ending, committed=committed, exited_normally=self._exited_normally)
        self._journal.append(self._schema.result(readable=read_back.current is not None))
        stopped = ending.outcome not in ("done", "refused")
        self._journal.append(
            events.RunEnded(
                at=now(),
                outcome=ending.outcome,
                current=read_back.current,
                elapsed_ms=milliseconds_since(self._started),
                committed=committed,
                error=ending.error,
                where=ending.where,
                statement=self._statements.last_statement if stopped else None,
                error_kind=ending.kind,
                subject=ending.subject,
            )
        )
        return ending.outcome

    def _run_started(self) -> events.RunStarted:
        request = self._request
        return events.RunStarted(
            at=now(),
            run=request.run,
            verb=self._plan.verb,
            target_revision=self._plan.target_revision,
            current=self._plan.current,
            steps=self._plan.steps,
            database=redact_url(request.url),
            project=request.scripts.script_location,
            lock_timeout_ms=request.timeouts.lock_ms,
            statement_timeout_ms=request.timeouts.statement_ms,
            lock_retries=request.lock_retries,
            on_disconnect=request.on_disconnect,
            losses=request.losses,
            **this_process(),
        )

    def _change(self) -> Ending:
        try:
            self._require_sessions()
            self._schema.begin()
            with ExitStack() as stack:
                self._change_under_mutex(stack)
        except RunCancelled:
            return Ending("cancelled")
        except MutexTimeout as error:
            return Ending("lock-timeout", f"{error} Nothing was done.")
        except VersionTableUnreadable as error:
            return Ending("refused", str(error))
        except RunRefused as error:
            return Ending("refused", str(error))
        except BaseException as error:  # noqa: BLE001 - whatever a script raises is how the run ended
            failure = self._failure(error)
            where = error_location(error, self._request.scripts)
            return Ending(self._outcome_of(failure), failure.message, where, failure.kind, failure.subject)
        return Ending("done")

    def _change_under_mutex(self, stack: ExitStack) -> None:
        request, plan = self._request, self._plan
        mutex = self._backend.mutex(self._url, request.mutex_key, request.session_name("mutex"), plan.verb)
        stack.callback(mutex.release)
        self._retry_on_lock_timeout(lambda: self._wait_for_turn(mutex))
        current = self._read_current()
        if plan.verb == "migrate" and sorted(current) == sorted(plan.result) != sorted(plan.current):
            return  # the holder of the mutex before us has done this very migration
        if sorted(current) != sorted(plan.current):
            raise RunRefused(
                f"The plan was made for the current revision {listed(plan.current)}, and the database now says "
                f"{listed(current)}: somebody else changed it. Look again and make a new plan."
            )
        # The backend's own listeners come first: SQLite's commit may fail in one of them.
        self._backend.prepare_writer(Engine, request.timeouts, self._hooks(), request.session_name())
        self._statements.listen()
        if plan.repair is not None:
            self._retry_on_lock_timeout(self._repair)
        elif plan.replace_unknown is not None:
            self._retry_on_lock_timeout(self._replace_unknown)
        else:
            self._retry_on_lock_timeout(lambda: self._run_alembic(mutex))

    def _wait_for_turn(self, mutex: Mutex) -> None:
        turn = Turn(self._request, self._backend, self._reader, self._journal, self._progress)
        if turn.wait(mutex):
            self._schema.begin()  # the one before us may have changed it

    def _require_sessions(self) -> None:
        """Refuse a pooler that gives each transaction another session: no session would hold the mutex."""
        with self._reader.connect() as connection:
            pooler = self._backend.server(connection).pooler
            password = self._backend.password_used(connection)
        if password:
            self._journal.hide(password_spellings(password, redact_url(self._request.url)))
        self._pooled = pooler is not None
        require_sessions(pooler)

    def _retry_on_lock_timeout(self, change: Callable[[], None]) -> None:
        """Make the change, again after a lock timeout or a deadlock as often as the request says.

        It is only made again if nothing was committed.
        """
        while True:
            try:
                return change()
            except MutexTimeout as error:
                if not self._retries.wait_for_next(str(error)):
                    raise
            except Exception as error:
                failure = self._failure(error)
                outcome = self._outcome_of(failure)
                if outcome not in ("lock-timeout", "deadlock"):
                    raise
                if not self._retries.wait_for_next(failure.message, outcome):
                    raise
            self._progress.check()

    def _reason_against_retry(self) -> str | None:
        if (reason := self._statements.reason_against_retry) is not None:
            return reason
        try:
            current = self._read_current()
            changes = self._schema.changes()
        except (SQLAlchemyError, VersionTableUnreadable, OSError, LookupError) as unread:
            return f"the database cannot be read: {self._failure(unread).message}"
        if sorted(current) != sorted(self._plan.current):
            return f"the current revision is now {listed(current)}"
        changed = [change for change in changes if not change.is_sequence_value]
        return f"the schema has changed: {described(changed)}" if changed else None

    def _run_alembic(self, mutex: Mutex) -> None:
        prefer_installed_driver()
        scripts = self._request.scripts
        config = alembic_config(scripts, self._request.url)
        script = ScriptDirectory.from_config(config)
        environment = OneVersionTable(
            config,
            script,
            lambda context: self._is_wanted(context, mutex),
            lambda context: self._create_schema(context, mutex),
            fn=lambda heads, context: self._steps(script, heads, context.connection, mutex),
            destination_rev=self._plan.target_revision,
            transactional_ddl=True,
            purge=self._plan.purge,
        )
        with environment:
            if scripts.kind == "alembic":
                script.run_env()
                if not environment.reached and environment.skipped:
                    self._require_target(not scripts.several)
                    raise RunRefused(
                        f"env.py configures a version table of its own: {', '.join(environment.skipped)}, not "
                        f"{self._version_table()}."
                    )
                self._require_target(environment.reached or not scripts.several)
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

    def _create_schema(self, context: MigrationContext, mutex: Mutex) -> None:
        if self._plan.creates_schema is not None:
            self._require_target(self._is_target(context.connection, mutex))
            create_schema(context, self._plan.creates_schema)

    def _steps(self, script: ScriptDirectory, heads: Any, connection: Connection | None, mutex: Mutex) -> Iterator[Any]:
        """Yield Alembic's own steps one by one. Refuse them if they are not the steps of the plan."""
        plan = self._plan
        self._require_target(self._is_target(connection, mutex))
        if not plan.purge and sorted(heads) != sorted(plan.current):
            raise RunRefused(
                f"env.py works on a version table that says {listed(tuple(heads))}, and the plan was made for "
                f"{listed(plan.current)}: it configures a version table of its own."
            )
        steps: Sequence[RevisionStep | StampStep]
        if plan.verb == "migrate":
            steps = script._upgrade_revs(plan.target_revision, heads)
        elif plan.verb == "rollback":
            steps = script._downgrade_revs(plan.target_revision, heads)
        else:
            steps = script._stamp_revs(plan.target_revision, heads)
        revisions = [step.revision.revision for step in steps if isinstance(step, RevisionStep)]
        # Compared without order: on a branched chain the order of downgrades depends on the order of rows and files.
        if plan.verb != "stamp" and sorted(revisions) != sorted(step.revision for step in plan.steps):
            raise RunRefused("The migration scripts have changed since the plan was made. Make a new plan.")
        self._require_contents()
        numbers = {step.revision: number for number, step in enumerate(plan.steps, start=1)}
        for step in steps:
            number = numbers[step.revision.revision] if isinstance(step, RevisionStep) else 1
            with self._step_events(plan.steps[number - 1], number):
                yield step
        self._progress.check()

    def _require_contents(self) -> None:
        """Refuse scripts that are other ones than those of the plan. Alembic has loaded them just before."""
        files = list(changed(self._plan.contents))
        if files:
            raise RunRefused(
                f"{', '.join(file.name for file in files)} changed since the plan was made, perhaps by a deployment. "
                "Look again and make a new plan."
            )

    def _is_wanted(self, context: MigrationContext, mutex: Mutex) -> bool:
        """Return whether env.py uses the plan's database and version table, or may not use another database at all."""
        connection, scripts = context.connection, self._request.scripts
        if connection is None or not self._is_target(connection, mutex):
            return not scripts.several
        return uses_version_table(self._backend, self._reader, scripts, context)

    def _version_table(self) -> str:
        scripts = self._request.scripts
        return ".".join(filter(None, (scripts.version_table_schema, scripts.version_table)))

    def _is_target(self, connection: Connection | None, mutex: Mutex) -> bool:
        return connection is not None and self._backend.is_target(connection, self._url, mutex)

    def _require_target(self, is_target: bool) -> None:
        """Refuse if env.py works on another database than the plan was made for."""
        if not is_target:
            raise RunRefused(
                f"env.py connects to another database than {redact_url(self._request.url)}. Let "
                "env.py take sqlalchemy.url from its configuration, or name the database that it uses with --url."
            )

    @contextmanager
    def _step_events(self, step: PlannedStep, number: int) -> Iterator[None]:
        """Write an event before a step, and an event after it unless it fails."""
        self._progress.check()
        self._journal.append(events.StepStarted(at=now(), number=number, of=len(self._plan.steps), **asdict(step)))
        began = time.monotonic()
        yield
        elapsed_ms = milliseconds_since(began)
        self._journal.append(events.StepEnded(at=now(), number=number, revision=step.revision, elapsed_ms=elapsed_ms))

    def _writer(self) -> Engine:
        return self._backend.writer(self._url, self._request.session_name())

    def _replace_unknown(self) -> None:
        """Replace exactly the unknown current revision of the plan, in one statement, or refuse."""
        plan = self._plan
        assert plan.replace_unknown is not None
        new = None if plan.target_revision == "base" else plan.target_revision
        with self._step_events(plan.steps[0], 1), self._writer().begin() as connection:
            if not replace_current(connection, self._request.scripts, plan.replace_unknown, new):
                raise RunRefused(f"The version table no longer says {plan.replace_unknown}.")

    def _repair(self) -> None:
        from magetui.runner.repair import ScriptsChanged, mend

        plan = self._plan
        assert plan.repair is not None
        self._require_contents()
        with self._step_events(plan.steps[0], 1), self._writer().connect() as connection:
            try:
                mend(connection, self._request.scripts, plan.repair, plan.result)
            except ScriptsChanged as error:
                raise RunRefused(str(error)) from error

    def _hooks(self) -> WriteHooks:
        """Return the hooks. A backend that waits for its locks in short tries calls the first two."""
        progress = self._progress

        def waited(elapsed_ms: int) -> None:
            progress.waited_ms, progress.waiting = elapsed_ms, True
            progress.check()

        def obtained() -> None:
            progress.waiting = False

        hooks = WriteHooks(waited, obtained, takes_tables=self._request.takes_tables)
        return hooks if self._pooled else replace(hooks, pooled=refuse_pooler)

    # -- the ending

    def _read_current(self) -> tuple[str, ...]:
        return read_current(self._backend, self._reader, self._request.scripts)

    def _failure(self, error: BaseException) -> Failure:
        if isinstance(error, SystemExit):
            self._exited_normally = error.code in (None, 0)
            return Failure("failed", f"env.py or a script ended the process with status {error.code}.")
        if isinstance(error, (DBAPIError, OSError)) or type(error).__module__ == "sqlite3":
            return self._backend.failure(error)
        behind = (self._backend.failure(cause) for cause in causes_of(error) if isinstance(cause, DBAPIError))
        return next((failure for failure in behind if failure.cause == "lost"), Failure("failed", error_text(error)))

    def _outcome_of(self, failure: Failure) -> events.Outcome:
        if failure.cause == "lost" or self._progress.abandoned.is_set():
            return "lost"  # even after a cancel, which may have come too late
        if self._progress.cancelled.is_set():
            return "cancelled"
        if self._progress.timed_out.is_set():
            return "statement-timeout"
        if failure.cause in ("lock-timeout", "deadlock", "statement-timeout", "cancelled"):
            return failure.cause
        return "failed"
