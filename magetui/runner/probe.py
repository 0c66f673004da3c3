"""What `env.py` connects to and configures, found by running it where it can reach no database and migrate nothing.

Every engine of the process gives out a connection that leads nowhere, async ones too, and `context` notes what it is
told. Where that fails before anything was configured, `env.py` is run once more as for Alembic's `--sql`, which names a
URL and connects to nothing; files that it would write then are refused. It is strangers' code, which may print, log,
exit or go to a secrets manager: that is its own affair, and why all this happens in the child.
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
    """`databases`, one a call of `context.configure`, else one a connection that was asked for; `error`, or None.

    Each database: `url` with its credentials (or None), Alembic's options, `offline`, the `naming` convention of its
    `target_metadata`, and the `arguments` that `run_migrations` hands on to the scripts.
    """
    connected: list[str] = []
    _lead_nowhere(connected)
    found, error = _run(request, offline=False)
    if not found and not connected:
        _refuse_to_write()
        found, _ = _run(request, offline=True)
    databases = found or [_database(url, {}, offline=False) for url in dict.fromkeys(connected)]
    secrets = [secret for one in databases if one["url"] for secret in secrets_of(one["url"])]
    return {"databases": databases, "error": None if error is None else redact(error, tuple(secrets))}


def _run(request: ProbeRequest, *, offline: bool) -> tuple[list[dict[str, Any]], str | None]:
    found: list[dict[str, Any]] = []
    try:
        config = alembic_config(request.scripts, request.url)
        script = ScriptDirectory.from_config(config)
        with Noting(config, script, found, offline=offline):
            script.run_env()
    except SystemExit as ended:
        return found, f"it ended the process with status {ended.code}"
    except Exception as failed:  # noqa: BLE001 - whatever env.py raises
        said = str(failed).strip().partition("\n")[0]
        return found, f"{type(failed).__name__}: {said}" if said else type(failed).__name__
    return found, None


class Noting(EnvironmentContext):
    """The `context` of an `env.py`, which notes what it is told in `found`, and runs nothing."""

    def __init__(self, config: Config, script: ScriptDirectory, found: list[dict[str, Any]], *, offline: bool) -> None:
        super().__init__(config, script, as_sql=offline)
        self._found = found

    def configure(self, *given: Any, **named: Any) -> None:
        told = inspect.signature(EnvironmentContext.configure).bind_partial(self, *given, **named).arguments
        told.update(told.pop("kw", {}))
        connection, offline = told.get("connection"), self.is_offline_mode()
        url = told.get("url")
        if not offline and isinstance(connection, Nowhere):
            url = connection.engine.url
        self._found.append(_database(_text(url), told, offline=offline))

    def run_migrations(self, **handed: Any) -> None:
        if self._found:
            self._found[-1]["arguments"] = [[name, value] for name, value in handed.items() if isinstance(value, str)]

    def begin_transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def execute(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def static_output(self, text: str) -> None:
        """Nothing."""

    def get_context(self) -> Any:
        return Nowhere(None)

    def get_bind(self) -> Any:
        return Nowhere(None)


# The functions of `alembic.context` reach the instance at work through what its class has set up there.
Noting.create_module_class_proxy(vars(context), vars(context))


def _database(url: str | None, told: dict[str, Any], *, offline: bool) -> dict[str, Any]:
    options = {name: told.get(name) for name in OPTIONS}
    for name, value in options.items():
        if value is not None and not isinstance(value, (str, bool)):
            options[name] = str(value)
    naming = _naming(told.get("target_metadata"))
    return {"url": url, **options, "offline": offline, "arguments": [], "naming": naming}


def _naming(metadata: Any) -> list[tuple[str, str]]:
    """The convention by which constraints without a name of their own are named; what it computes is left out."""
    first = next(iter(metadata), None) if isinstance(metadata, (list, tuple)) else metadata
    convention = getattr(first, "naming_convention", None) or {}
    return [(key, text) for key, text in convention.items() if isinstance(key, str) and isinstance(text, str)]


def _text(url: Any) -> str | None:
    try:
        made = make_url(url) if isinstance(url, (str, URL)) else None
    except ArgumentError:
        return str(url)
    return None if made is None else made.render_as_string(hide_password=False)


class Nowhere:
    """A connection, and whatever is asked of it: it takes everything and gives nothing."""

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
        """What was raised inside goes on."""


def _lead_nowhere(connected: list[str]) -> None:
    """For the rest of this process, engines connect to nothing and note in `connected` to what they should have."""

    def connect(engine: Engine, *_: Any, **__: Any) -> Nowhere:
        connected.append(engine.url.render_as_string(hide_password=False))
        return Nowhere(engine)

    patched: Any = Engine
    patched.connect = patched.begin = patched.raw_connection = connect
    prefer_installed_driver()


def _refuse_to_write() -> None:
    """For the rest of this process no file is opened for writing (Alembic's `--sql` may go to files)."""
    sys.dont_write_bytecode = True

    def heard(name: str, arguments: tuple[Any, ...]) -> None:
        if name != "open" or not isinstance(arguments[2], int) or not arguments[2] & WRITING:
            return
        if isinstance(arguments[0], (str, bytes, os.PathLike)) and arguments[0] != os.devnull:
            raise PermissionError(f"env.py is only asked what it configures, and would write {arguments[0]!r}")

    sys.addaudithook(heard)
