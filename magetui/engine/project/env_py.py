"""What a project's `env.py` connects to and configures.

What stands in its text as a constant is read from there. Only where that does not tell, `env.py` is run, in a child
that can reach no database (see `runner.probe`), and asked.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magetui.engine.child import NoAnswerError, answer
from magetui.engine.revisions.syntax import tree_of
from magetui.protocol.requests import ProbeRequest, Scripts

PROBE_SECONDS = 20
PAIRS = ("arguments", "naming")
# What an env.py says that does not take the URL from its configuration as it stands there.
MAKES_URL = frozenset(
    {"set_main_option", "set_section_option", "create_engine", "create_async_engine", "environ", "getenv", "create"}
)
NOT_THE_PROJECTS = frozenset({"node_modules", "site-packages", "venv", "env", "__pycache__"})
FILES_LOOKED_AT = 5_000
TAKES_URL = frozenset({"engine_from_config", "async_engine_from_config"})


@dataclass(frozen=True, slots=True)
class Configured:
    """One call of `context.configure`; `None` where it says nothing."""

    url: str | None = field(default=None, repr=False)
    version_table: str | None = None
    version_table_schema: str | None = None
    include_schemas: bool | None = None
    transaction_per_migration: bool | None = None
    offline: bool = False
    arguments: tuple[tuple[str, str], ...] = ()
    naming: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """What is known of an env.py: the databases it works on, and why it could not be asked, if so."""

    databases: tuple[Configured, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EnvText:
    """What the text of an env.py tells: `configured` is None where only running it can tell."""

    makes_url: bool
    configured: Configured | None
    has_metadata: bool = False  # whether it configures a target_metadata, which may name constraints


def read_env_text(file: Path) -> EnvText:
    """What can be read without running it. A file that cannot be read has nothing to say, and will not run either."""
    try:
        tree = tree_of(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):
        return EnvText(makes_url=False, configured=Configured())
    names = {node.attr if isinstance(node, ast.Attribute) else node.id for node in _named(tree)}
    makes_url = bool(names & MAKES_URL) or not names & TAKES_URL or _sets_url(tree)
    return EnvText(makes_url, _configured(tree), _has_metadata(tree))


def mentions_naming(folder: Path) -> bool:
    """Whether a script of the project's, its models included, speaks of a naming convention.

    Only then is env.py run for it. Libraries and hidden folders are left out, and so is what lies beyond a few
    thousand files.
    """
    looked_at = 0
    for path, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".") and one not in NOT_THE_PROJECTS]
        for name in files:
            if not name.endswith(".py"):
                continue
            looked_at += 1
            if looked_at > FILES_LOOKED_AT:
                return False
            with suppress(OSError):
                if b"naming_convention" in Path(path, name).read_bytes():
                    return True
    return False


def _has_metadata(tree: ast.AST) -> bool:
    """Whether a call of `configure` is given a target_metadata that the text does not say to be None."""
    none = {
        target.id
        for node in getattr(tree, "body", ())
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is None
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    given = [
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _is_configure(node.func)
        for keyword in node.keywords
        if keyword.arg in ("target_metadata", None)
    ]
    return any(
        not (isinstance(one, ast.Constant) and one.value is None) and not (isinstance(one, ast.Name) and one.id in none)
        for one in given
    )


def _named(tree: ast.AST) -> Iterator[ast.Attribute | ast.Name]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Name)))


def _sets_url(tree: ast.AST) -> bool:
    """Whether it says `section["sqlalchemy.url"] = …`."""
    return any(
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.slice, ast.Constant)
        and node.slice.value in ("sqlalchemy.url", "url")
        for node in ast.walk(tree)
    )


def _configured(tree: ast.AST) -> Configured | None:
    """The version table, where each call of `configure` gives the same one as a constant."""
    constants = {
        target.id: node.value.value
        for node in getattr(tree, "body", ())
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_configure(node.func)]
    found: set[tuple[str | None, str | None]] = set()
    for call in calls:
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
        found.add(tuple(_text(given.get(name)) for name in ("version_table", "version_table_schema")))  # type: ignore[arg-type]
    if len(found) > 1:
        return None
    table, schema = found.pop() if found else (None, None)
    return Configured(version_table=table, version_table_schema=schema)


def _is_configure(function: ast.expr) -> bool:
    return (isinstance(function, ast.Attribute) and function.attr == "configure") or (
        isinstance(function, ast.Name) and function.id == "configure"
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def ask_env(interpreter: str, folder: Path, scripts: Scripts, url: str | None) -> Environment:
    """What env.py says when it is run where it reaches no database. Never raises for what it does."""
    try:
        said: dict[str, Any] = answer(interpreter, folder, ProbeRequest(scripts, url), PROBE_SECONDS)
    except NoAnswerError as error:
        return Environment(error=error.message)
    databases = tuple(
        Configured(**{**one, **{pairs: tuple((name, value) for name, value in one[pairs]) for pairs in PAIRS}})
        for one in said["databases"]
    )
    return Environment(databases, said["error"])
