"""The replay of a chain from nothing: its revisions run in a scratch database, and the schema is read from there.

The chain of any project runs on a connection of this module, without its `env.py`, which would connect to the live
database. So a replay does not have what an env.py adds, for example a search_path or work around the migrations. It
has its own version table. An `autocommit_block` does not commit, because nothing of a replay is ever committed.

The program that asked keeps a pipe open. If the pipe ends for any reason, this process exits at once. The schema that
it built is rolled back with its connection.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from magetui.backends import backend_for
from magetui.backends.base import Backend
from magetui.backends.scratch import ReachedOutside, Scratch, ScratchRequest, ScratchUnavailableError
from magetui.protocol.answers import Replayed
from magetui.protocol.requests import NAME_LIMIT, ReplayRequest
from magetui.runner.alembic_config import alembic_config, naming_options, script_files
from magetui.runner.barrier import BarrierHit, raise_barrier
from magetui.runner.script_errors import error_location, error_text

CPU_SECONDS = 1800  # of a replay in this process, which SQLite's is
LEFT = 3  # this process's exit status if the program that asked is gone


class Replay:
    """One replay of one request. If the pipe `line` ends, nobody waits for the answer."""

    def __init__(self, request: ReplayRequest, line: int) -> None:
        self._request = request
        self._line = line
        self._url = make_url(request.url)
        self._backend: Backend = backend_for(self._url)
        self._revision: str | None = None

    def replayed(self) -> Replayed:
        """Replay the chain, read its schema and roll it back."""
        name = f"magetui replay {self._request.operator}".strip()[:NAME_LIMIT]
        wanted = ScratchRequest(self._request.schema, self._request.apart, name)
        try:
            with self._backend.scratch(self._url, wanted) as scratch, self._watched(scratch):
                return self._behind_a_barrier(scratch)
        except ScratchUnavailableError as error:
            return Replayed(refused=str(error))
        except (SQLAlchemyError, OSError) as error:
            return Replayed(failed=self._backend.failure(error).message)

    def _behind_a_barrier(self, scratch: Scratch) -> Replayed:
        """Replay the chain where its scripts reach nothing but the open connection."""
        hits = raise_barrier(cpu_seconds=CPU_SECONDS).watch(map(str, script_files(self._request.scripts)))
        try:
            replayed = self._built(scratch)
        except BarrierHit:
            replayed = Replayed()
        if not hits:
            return replayed
        return Replayed(refused=f"The script does more than SQL: {hits[0]}.", elsewhere=False, revision=self._revision)

    def _built(self, scratch: Scratch) -> Replayed:
        try:
            self._run(scratch)
            scratch.done()
        except ReachedOutside as error:
            return Replayed(refused=str(error), elsewhere=error.elsewhere, revision=self._revision)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a script raises is why it cannot be replayed
            is_drivers = isinstance(error, DBAPIError)
            failed = self._backend.failure(error).message if is_drivers else error_text(error)
            return Replayed(
                failed=failed,
                hint=scratch.hint(error),
                revision=self._revision,
                where=error_location(error, self._request.scripts),
            )
        backend, connection = self._backend, scratch.connection
        schema = None if self._request.apart else scratch.schema  # None: the scripts may use any schema
        details = backend.table_details(connection, schema)
        enums = backend.enum_types(connection)
        return Replayed(
            schema=scratch.schema,
            tables=tuple(detail for detail in details if detail.table.schema != scratch.guard or scratch.guard is None),
            enums=tuple(enum for enum in enums if schema is None or enum.schema == schema),
            server=backend.server(connection).version,
        )

    def _run(self, scratch: Scratch) -> None:
        scripts = self._request.scripts
        config = alembic_config(scripts, None)
        script = ScriptDirectory.from_config(config)
        environment = EnvironmentContext(config, script, fn=lambda heads, _context: self._steps(script, heads, scratch))
        with environment:
            environment.configure(
                connection=scratch.connection, version_table=scripts.version_table, **naming_options(scripts)
            )
            context: Any = environment.get_context()
            context.autocommit_block = nullcontext
            with environment.begin_transaction():
                environment.run_migrations()

    def _steps(self, script: ScriptDirectory, heads: Any, scratch: Scratch) -> Iterator[Any]:
        for step in script._upgrade_revs(self._request.revisions, heads):  # type: ignore[arg-type]  # it takes several
            self._revision = step.revision.revision
            yield step
            scratch.check()

    @contextmanager
    def _watched(self, scratch: Scratch) -> Iterator[None]:
        """Exit the process as soon as the program that asked is gone, while the block runs."""
        done, over = os.pipe()

        def watch() -> None:
            readable, _, _ = select.select([self._line, done], [], [])
            if done not in readable:
                with suppress(SQLAlchemyError):  # the server rolls back by itself, but later
                    self._backend.interrupt(scratch.connection, None)
                os._exit(LEFT)

        thread = threading.Thread(target=watch, name="line", daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.write(over, b".")
            thread.join()
            os.close(over)
            os.close(done)
