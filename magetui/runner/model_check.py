"""The comparison of a project's models with its database, as `alembic check` does it, on connections that cannot write.

Alembic's own autogenerate compares, inside the project's env.py, so all that env.py configures holds: include_object,
include_schemas, compare_type and its own hooks. Alembic itself creates a missing version table; this check does not.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from alembic import op
from alembic.autogenerate.api import AutogenContext, RevisionContext
from alembic.autogenerate.render import render_op
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError

from magetui.backends import backend_for
from magetui.backends.base import Backend, Mutex
from magetui.model.operations import Operation, Unclear
from magetui.protocol.checked import Checked, NewOperation
from magetui.protocol.redaction import redact_url
from magetui.protocol.requests import NAME_LIMIT, CheckRequest
from magetui.runner.alembic_config import alembic_config, prefer_installed_driver
from magetui.runner.env_context import OneVersionTable
from magetui.runner.recorder import Recorder
from magetui.runner.refusals import RunRefused, require_sessions
from magetui.runner.script_errors import error_location, error_text, first_line
from magetui.runner.version_table import uses_version_table

TOKEN_BITS = 62  # of an advisory lock that proves that env.py is in the same database
WRITES = ("read-only transaction", "readonly database", "read-only database")
COMMAND: dict[str, Any] = {
    **{"message": None, "autogenerate": True, "sql": False, "head": "head", "splice": False},
    **{"branch_label": None, "version_path": None, "rev_id": None, "depends_on": None},
}


def check(request: CheckRequest) -> Checked:
    """Return the operations that autogenerate finds, or the reason why they are not known."""
    url = make_url(request.url)
    backend: Backend = backend_for(url)
    name = f"magetui check {request.operator}".strip()[:NAME_LIMIT]
    reader = backend.reader(url, name)
    token = backend.mutex(url, secrets.randbits(TOKEN_BITS), name, "check")
    try:
        with reader.connect() as connection:
            require_sessions(backend.server(connection).pooler)
        if backend.name != "sqlite":  # there, the path of the file proves it
            token.try_acquire()
        backend.prepare_reader(Engine, name)
        return Checked(tuple(_Check(request, backend, reader, token).operations()))
    except RunRefused as error:
        return Checked(refused=str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever env.py raises
        is_drivers = isinstance(error, (DBAPIError, OSError))
        text = backend.failure(error).message if is_drivers else error_text(error)
        where = error_location(error, request.scripts)
        if any(word in str(error) for word in WRITES):
            text = f"env.py writes to the database, and a check only reads: {text}"
        return Checked(failed=text, where=where)
    finally:
        token.release()


class _Check:
    """One check: its env.py is run once, and only the context of the request's version table is compared."""

    def __init__(self, request: CheckRequest, backend: Backend, reader: Engine, token: Mutex) -> None:
        self._request = request
        self._backend = backend
        self._reader = reader
        self._token = token
        self._url = make_url(request.url)
        self._is_compared = False

    def operations(self) -> Iterator[NewOperation]:
        prefer_installed_driver()
        config = alembic_config(self._request.scripts, self._request.url)
        script = ScriptDirectory.from_config(config)
        revision = RevisionContext(config, script, COMMAND)

        def compare(heads: Any, context: MigrationContext) -> list[Any]:
            if context.opts["target_metadata"] is None:
                raise RunRefused("env.py configures no target_metadata, so there are no models to compare with.")
            revision.run_autogenerate(heads, context)
            self._is_compared = True
            return []

        environment = OneVersionTable(
            config,
            script,
            self._is_wanted,
            lambda _context: None,
            fn=compare,
            dont_mutate=True,
            template_args=revision.template_args,
            revision_context=revision,
        )
        with environment:
            script.run_env()
        if not self._is_compared:
            raise RunRefused(
                f"env.py does not work on {redact_url(self._request.url)} with the version table "
                f"{self._request.scripts.version_name}. Let env.py take sqlalchemy.url from its configuration, or name "
                "the database that it uses with --url."
            )
        for container in revision.generated_revisions[-1].upgrade_ops_list:
            for operation in _leaves(container):
                yield _described(operation, revision._last_autogen_context)

    def _is_wanted(self, context: MigrationContext) -> bool:
        connection = context.connection
        if connection is None or not self._backend.is_target(connection, self._url, self._token):
            return False
        return uses_version_table(self._backend, self._reader, self._request.scripts, context)


def _leaves(operation: Any) -> Iterator[ops.MigrateOperation]:
    """Yield the operations in a container, and those in the containers that it has for each table."""
    if isinstance(operation, ops.OpContainer):
        for part in operation.ops:
            yield from _leaves(part)
    else:
        yield operation


def _described(operation: ops.MigrateOperation, context: AutogenContext) -> NewOperation:
    try:
        code = "\n".join(render_op(context, operation))
    except Exception as error:  # noqa: BLE001 - a hook of the project renders its own types, and a check needs no code
        code = f"{type(operation).__name__}, which cannot be rendered: {first_line(error)}"
    migration = context.migration_context
    assert migration is not None
    return NewOperation(code, _recorded(operation, migration.dialect.name))


def _recorded(operation: ops.MigrateOperation, dialect: str) -> tuple[Operation, ...]:
    """Return what the operation does, in this program's terms; () if that is not known."""
    recorded = Recorder(dialect).record(lambda: op.invoke(operation))
    is_known = recorded.undecidable is None and not any(isinstance(made, Unclear) for made in recorded.operations)
    return recorded.operations if is_known else ()
