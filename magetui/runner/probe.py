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
from typing import Any

from alembic import context
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from magetui.protocol.redaction import redact, secrets_of
from magetui.protocol.requests import ProbeRequest
from magetui.runner.alembic_config import alembic_config, prefer_installed_driver

OPTIONS = ("version_table", "version_table_schema", "include_schemas", "transaction_per_migration")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def probe(request: ProbeRequest) -> dict[str, Any]:
    """Return `databases`, one for each call of `context.configure`, or else for each connection, and `error` or None.

    Each database has `url` with its credentials or None, Alembic's options, `offline`, the `naming` convention of its
    `target_metadata`, and the `arguments` that `run_migrations` passes to the scripts.
    """
    connected: list[str] = []
    _lead_nowhere(connected)
    configured, error = _run(request, offline=False)
    if not configured and not connected:
        _refuse_to_write()
        configured, _ = _run(request, offline=True)
    databases = configured or [_database(url, {}, offline=False) for url in dict.fromkeys(connected)]
    secrets = [secret for database in databases if database["url"] for secret in secrets_of(database["url"])]
    return {"databases": databases, "error": None if error is None else redact(error, tuple(secrets))}


def _run(request: ProbeRequest, *, offline: bool) -> tuple[list[dict[str, Any]], str | None]:
    configured: list[dict[str, Any]] = []
    try:
        config = alembic_config(request.scripts, request.url)
        script = ScriptDirectory.from_config(config)
        with Noting(config, script, configured, offline=offline):
            script.run_env()
    except SystemExit as ended:
        return configured, f"it ended the process with status {ended.code}"
    except Exception as failed:  # noqa: BLE001 - whatever env.py raises
        message = str(failed).strip().partition("\n")[0]
        return configured, f"{type(failed).__name__}: {message}" if message else type(failed).__name__
    return configured, None


class Noting(EnvironmentContext):
    """The `context` of an `env.py` that notes its calls in `configured` and runs nothing."""

    def __init__(
        self, config: Config, script: ScriptDirectory, configured: list[dict[str, Any]], *, offline: bool
    ) -> None:
        super().__init__(config, script, as_sql=offline)
        self._configured = configured

    def configure(self, *positional: Any, **named: Any) -> None:
        signature = inspect.signature(EnvironmentContext.configure)
        arguments = signature.bind_partial(self, *positional, **named).arguments
        arguments.update(arguments.pop("kw", {}))
        connection, offline = arguments.get("connection"), self.is_offline_mode()
        url = arguments.get("url")
        if not offline and isinstance(connection, Nowhere):
            url = connection.engine.url
        self._configured.append(_database(_text(url), arguments, offline=offline))

    def run_migrations(self, **arguments: Any) -> None:
        if self._configured:
            self._configured[-1]["arguments"] = [
                [name, text] for name, text in arguments.items() if isinstance(text, str)
            ]

    def begin_transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def execute(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def static_output(self, text: str) -> None:
        """Do nothing."""

    def get_context(self) -> Any:
        return Nowhere(None)

    def get_bind(self) -> Any:
        return Nowhere(None)


# The functions of `alembic.context` reach the active instance through what its class has set up in that module.
Noting.create_module_class_proxy(vars(context), vars(context))


def _database(url: str | None, arguments: dict[str, Any], *, offline: bool) -> dict[str, Any]:
    options = {name: arguments.get(name) for name in OPTIONS}
    for name, value in options.items():
        if value is not None and not isinstance(value, (str, bool)):
            options[name] = str(value)
    naming = _naming(arguments.get("target_metadata"))
    return {"url": url, **options, "offline": offline, "arguments": [], "naming": naming}


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
    return None if parsed is None else parsed.render_as_string(hide_password=False)


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
        connected.append(engine.url.render_as_string(hide_password=False))
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
