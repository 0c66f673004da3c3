"""The probe: it runs `env.py` without a database, to find out what `env.py` connects to and configures.

Every engine of the process, async engines too, returns a connection that leads nowhere, and `context` notes its calls.
If that fails before `env.py` has configured anything, `env.py` runs again in the mode of Alembic's `--sql`, which names
a URL and does not connect; it is then not allowed to write files. `env.py` is the project's code: it may print, log,
exit or read a secrets manager. So the probe happens in the child process.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import sqlalchemy
from alembic import context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError

from magetui.protocol.answers import Configured, Environment
from magetui.protocol.redaction import redact, secrets_of
from magetui.protocol.requests import ProbeRequest
from magetui.runner.alembic_config import alembic_config, prefer_installed_driver
from magetui.runner.barrier import Barrier, refuse_drivers
from magetui.runner.script_errors import first_line

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def probe(request: ProbeRequest) -> Environment:
    """Return the databases, one for each call of `context.configure`, or else for each connection, and the error."""
    connected: list[str] = []
    _lead_nowhere(connected)
    refuse_drivers(Barrier())  # an env.py may also connect without SQLAlchemy, to create a schema
    configured, error = _run(request, offline=False)
    if not configured and not connected:
        _refuse_to_write()
        configured, _ = _run(request, offline=True)
    databases = configured or [Configured(url) for url in dict.fromkeys(connected)]
    secrets = [secret for database in databases if database.url for secret in secrets_of(database.url)]
    return Environment(tuple(databases), None if error is None else redact(error, tuple(secrets)))


def _run(request: ProbeRequest, *, offline: bool) -> tuple[list[Configured], str | None]:
    configured: list[Configured] = []
    try:
        config = alembic_config(request.scripts, request.url)
        script = ScriptDirectory.from_config(config)
        with Noting(config, script, configured, offline=offline):
            script.run_env()
    except SystemExit as ended:
        return configured, f"it ended the process with status {ended.code}"
    except Exception as failed:  # noqa: BLE001 - whatever env.py raises
        return configured, first_line(failed)
    return configured, None


class Noting(EnvironmentContext):
    """The `context` of an `env.py` that notes its calls in `configured` and runs nothing."""

    def __init__(self, config: Config, script: ScriptDirectory, configured: list[Configured], *, offline: bool) -> None:
        super().__init__(config, script, as_sql=offline)
        self._configured = configured

    def configure(self, *positional: Any, **named: Any) -> None:
        signature = inspect.signature(EnvironmentContext.configure)
        arguments = signature.bind_partial(self, *positional, **named).arguments
        arguments.update(arguments.pop("kw", {}))
        connection, url = arguments.get("connection"), arguments.get("url")
        if not self.is_offline_mode() and isinstance(connection, Nowhere):
            url = connection.engine.url
        table, schema = (
            None if arguments.get(name) is None else str(arguments[name])
            for name in ("version_table", "version_table_schema")
        )
        naming = tuple(_naming(arguments.get("target_metadata")))
        self._configured.append(Configured(_text(url), table, schema, naming=naming))

    def run_migrations(self, **arguments: Any) -> None:
        if self._configured:
            texts = tuple((name, text) for name, text in arguments.items() if isinstance(text, str))
            self._configured[-1] = replace(self._configured[-1], arguments=texts)

    def begin_transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def execute(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    static_output = execute

    def get_context(self) -> Any:
        return Nowhere(None)

    get_bind = get_context


# The functions of `alembic.context` reach the active instance through what its class has set up in that module.
Noting.create_module_class_proxy(vars(context), vars(context))


def _naming(metadata: Any) -> list[tuple[str, str]]:
    """Return the naming convention of constraints, without the parts that are computed by a function."""
    first = next(iter(metadata), None) if isinstance(metadata, (list, tuple)) else metadata
    convention = getattr(first, "naming_convention", None) or {}
    return [(key, text) for key, text in convention.items() if isinstance(key, str) and isinstance(text, str)]


def _text(url: Any) -> str | None:
    try:
        parsed = make_url(url) if isinstance(url, (str, URL)) else None
    except ArgumentError:
        return str(url)
    return None if parsed is None else _spelled(parsed)


def _spelled(url: URL) -> str:
    """Return the URL as text, with its password. SQLAlchemy 1.4 does not encode percent signs."""
    if sqlalchemy.__version__.startswith("1."):
        password = None if url.password is None else quote(str(url.password), safe="")
        url = url.set(username=url.username and quote(url.username, safe=""), password=password)
    return url.render_as_string(hide_password=False)


class Nowhere:
    """A connection that leads nowhere: every call and attribute of it is again one, and results are empty."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.dialect = engine.dialect if engine is not None else self
        self.closed = False
        self.info: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nowhere(self.engine)

    def __call__(self, *_: Any, **__: Any) -> Any:
        return Nowhere(self.engine)

    def scalar(self, *_: Any, **__: Any) -> None:
        return None

    first = one_or_none = scalar_one_or_none = fetchone = scalar

    def connect(self, *_: Any, **__: Any) -> Nowhere:
        return self

    execution_options = connect

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __enter__(self) -> Nowhere:
        return self

    def __exit__(self, *_: object) -> None:
        """Let errors inside the block propagate."""


def _lead_nowhere(connected: list[str]) -> None:
    """Make all engines of this process connect to nothing, and add to `connected` the URLs of their databases."""

    def connect(engine: Engine, *_: Any, **__: Any) -> Nowhere:
        connected.append(_spelled(engine.url))
        return Nowhere(engine)

    patched: Any = Engine
    patched.connect = patched.begin = patched.raw_connection = connect
    prefer_installed_driver()


def _refuse_to_write() -> None:
    """Refuse to open a file for writing in this process: an env.py may write the output of `--sql` to files."""
    sys.dont_write_bytecode = True

    def refuse(name: str, arguments: tuple[Any, ...]) -> None:
        if name != "open" or not isinstance(arguments[2], int) or not arguments[2] & WRITING:
            return
        if isinstance(arguments[0], (str, bytes, os.PathLike)) and arguments[0] != os.devnull:
            raise PermissionError(f"env.py is only probed for its configuration, and would write {arguments[0]!r}")

    sys.addaudithook(refuse)
