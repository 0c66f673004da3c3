"""Replaying a chain from nothing: the schema that its revisions make, built in a scratch place and read there.

Any project's chain runs on a connection of ours, without its `env.py`: which would connect to the live database. What
an env.py would add (a search_path, naming conventions, what it does around the migrations) is not seen, and the version
table is ours. An `autocommit_block` is none here, since nothing of a replay is ever committed.

Whoever asked keeps a pipe open. Where that ends, however it came to that, this process leaves at once, and what it
built goes with its connection.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from magetui.backends import backend_for
from magetui.backends.base import Backend
from magetui.backends.scratch import Place, ReachedOutside, Scratch, ScratchUnavailableError
from magetui.protocol.replayed import Replayed
from magetui.protocol.requests import NAME_LIMIT, ReplayRequest
from magetui.runner.alembic_config import alembic_config, naming_options
from magetui.runner.error_location import place_of
from magetui.runner.render import refuse_connections

LEFT = 3  # this process's exit status where whoever asked is gone


def replay(request: ReplayRequest, line: int) -> Replayed:
    """Replay, read, and leave nothing. `line`: whose end means that nobody waits."""
    return _Replay(request, line).replayed()


class _Replay:
    """One replay."""

    def __init__(self, request: ReplayRequest, line: int) -> None:
        self._request = request
        self._line = line
        self._url = make_url(request.url)
        self._backend: Backend = backend_for(self._url)
        self._revision: str | None = None

    def replayed(self) -> Replayed:
        name = f"magetui replay {self._request.operator}".strip()[:NAME_LIMIT]
        place = Place(self._request.schema, self._request.apart, name)
        try:
            with self._backend.scratch(self._url, place) as scratch, self._watched(scratch):
                refuse_connections("a replay runs on one connection")
                return self._built(scratch)
        except ScratchUnavailableError as error:
            return Replayed(refused=str(error))
        except (SQLAlchemyError, OSError) as error:
            return Replayed(failed=self._backend.failure(error).message)

    def _built(self, scratch: Scratch) -> Replayed:
        try:
            self._run(scratch)
            scratch.done()
        except ReachedOutside as error:
            return Replayed(refused=str(error), elsewhere=error.elsewhere, revision=self._revision)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a script raises is why it cannot be replayed
            said = (
                self._backend.failure(error).message
                if isinstance(error, DBAPIError)
                else f"{type(error).__name__}: {error}"
            )
            return Replayed(
                failed=said,
                hint=scratch.hint(error),
                revision=self._revision,
                where=place_of(error, self._request.scripts.version_locations),
            )
        backend, connection = self._backend, scratch.connection
        alone = None if self._request.apart else scratch.schema
        details = backend.table_details(connection, alone)
        enums = backend.enum_types(connection)
        return Replayed(
            schema=scratch.schema,
            tables=tuple(one for one in details if one.table.schema != scratch.guard or scratch.guard is None),
            enums=tuple(one for one in enums if alone is None or one.schema == alone),
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
            context.autocommit_block = _within
            with environment.begin_transaction():
                environment.run_migrations()

    def _steps(self, script: ScriptDirectory, heads: Any, scratch: Scratch) -> Iterator[Any]:
        for step in script._upgrade_revs(self._request.revisions, heads):  # type: ignore[arg-type]  # it takes several
            self._revision = step.revision.revision
            yield step
            scratch.check()

    @contextmanager
    def _watched(self, scratch: Scratch) -> Iterator[None]:
        """While this goes on, a thread leaves with the process as soon as whoever asked is gone."""
        done, over = os.pipe()

        def watch() -> None:
            readable, _, _ = select.select([self._line, done], [], [])
            if done not in readable:
                with suppress(SQLAlchemyError):  # the server takes it back by itself, only not as soon
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


@contextmanager
def _within() -> Iterator[None]:
    """In the place of `autocommit_block`."""
    yield
