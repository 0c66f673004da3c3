"""A project's `env.py`: the databases that it connects to and the options that it configures.

Only if the text does not tell them, a child process runs `env.py`, without a database (`runner.probe`).
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.child import NoAnswerError, answer
from magetui.engine.revisions.syntax import tree_of
from magetui.protocol import codec
from magetui.protocol.answers import Configured, Environment
from magetui.protocol.requests import ProbeRequest

if TYPE_CHECKING:
    from magetui.protocol.scripts import Scripts

PROBE_SECONDS = 60  # the import of a large application, such as Superset, takes more than ten on a calm machine
# Names in the text of an env.py that builds its own URL and does not take it from its configuration.
MAKES_URL = frozenset(
    {"set_main_option", "set_section_option", "create_engine", "create_async_engine", "environ", "getenv", "create"}
)
NOT_THE_PROJECTS = frozenset({"node_modules", "site-packages", "venv", "env", "__pycache__"})
FILES_SEARCHED = 5_000
TAKES_URL = frozenset({"engine_from_config", "async_engine_from_config"})


@dataclass(frozen=True, slots=True)
class EnvText:
    """The facts in the text of an env.py. `configured` is None if only running it can tell."""

    makes_url: bool
    configured: Configured | None
    has_metadata: bool = False  # True if it configures a target_metadata, which may name constraints
    commits_each: bool = False  # True if it configures a transaction for each revision


def read_env_text(file: Path) -> EnvText:
    """Read an env.py without running it. An unreadable file configures nothing, and it will not run either."""
    try:
        tree = tree_of(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return EnvText(makes_url=False, configured=Configured())
    nodes = (node for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Name)))
    names = {node.attr if isinstance(node, ast.Attribute) else node.id for node in nodes}
    makes_url = bool(names & MAKES_URL) or not names & TAKES_URL or _sets_url(tree)
    return EnvText(makes_url, _configured(tree), _has_metadata(tree), _commits_each(tree))


def mentions_naming(folder: Path) -> bool:
    """Return True if a naming convention is in one of the first `FILES_SEARCHED` Python files: then env.py must run."""
    for file in islice(_python_files(folder), FILES_SEARCHED):
        with suppress(OSError):
            if b"naming_convention" in file.read_bytes():
                return True
    return False


def _python_files(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in NOT_THE_PROJECTS]
        yield from (Path(path, name) for name in files if name.endswith(".py"))


def _commits_each(tree: ast.AST) -> bool:
    """Return True if every call of `configure` passes `transaction_per_migration=True`, by the text."""
    wanted = [
        any(
            keyword.arg == "transaction_per_migration"
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is True
            for keyword in call.keywords
        )
        for call in _configure_calls(tree)
    ]
    return bool(wanted) and all(wanted)


def _has_metadata(tree: ast.AST) -> bool:
    """Return True if a call of `configure` passes a target_metadata that is not None by the text."""
    constants = _constants(tree)
    return any(
        not (isinstance(value, ast.Constant) and value.value is None)
        and not (isinstance(value, ast.Name) and constants.get(value.id, value) is None)
        for call in _configure_calls(tree)
        for value in (keyword.value for keyword in call.keywords if keyword.arg in ("target_metadata", None))
    )


def _sets_url(tree: ast.AST) -> bool:
    """Return True if the text assigns `section["sqlalchemy.url"] = …`."""
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.slice, ast.Constant)
        and node.slice.value in ("sqlalchemy.url", "url")
        for node in ast.walk(tree)
    )


def _configured(tree: ast.AST) -> Configured | None:
    """Return the version table if each call of `configure` passes the same constant, else None.

    Without a call, this env.py runs another one, such as that of an application.
    """
    constants = _constants(tree)
    tables: set[tuple[str | None, str | None]] = set()
    for call in _configure_calls(tree):
        given: dict[str | None, object] = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                return None
            if keyword.arg in ("version_table", "version_table_schema"):
                value = keyword.value
                if isinstance(value, ast.Name) and value.id in constants:
                    given[keyword.arg] = constants[value.id]
                elif isinstance(value, ast.Constant):
                    given[keyword.arg] = value.value
                else:
                    return None
        tables.add((_text(given.get("version_table")), _text(given.get("version_table_schema"))))
    if len(tables) != 1:
        return None
    [(table, schema)] = tables
    return Configured(version_table=table, version_table_schema=schema)


def _constants(tree: ast.AST) -> dict[str, object]:
    """Return the constants that the module assigns to names at its top level."""
    return {
        target.id: node.value.value
        for node in getattr(tree, "body", ())
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _configure_calls(tree: ast.AST) -> list[ast.Call]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if "configure" in (getattr(call.func, "attr", ""), getattr(call.func, "id", ""))]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def ask_env(interpreter: str, folder: Path, scripts: Scripts, url: str | None) -> Environment:
    """Run env.py where it can reach no database, and return what it configures. Its errors are part of the answer."""
    try:
        return codec.decode(Environment, answer(interpreter, folder, ProbeRequest(scripts, url), PROBE_SECONDS))
    except NoAnswerError as error:
        return Environment(error=error.message)
