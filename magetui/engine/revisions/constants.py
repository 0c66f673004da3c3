"""Values of names in a script, followed through its repository's modules in the source, without importing anything.

OpenStack's scripts, for one, label their branches with a constant of their command line's module. Only what is literal
somewhere is a value here, and only a name that its module binds once: else the code has to run to tell.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from magetui.engine.revisions.syntax import tree_of

DEEPEST = 8  # names, each standing for the next
SETS_NO_NAME = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Expr)


class UnknownValueError(ValueError):
    """An expression is not made of literals."""


@dataclass(frozen=True, slots=True)
class Assignments:
    """The names that a module assigns at its top level.

    `values` are their last expressions. `unclear` names are set in a way that only running the module tells.
    """

    values: dict[str, ast.expr]
    unclear: frozenset[str]


def assignments(tree: ast.Module) -> Assignments:
    values: dict[str, ast.expr] = {}
    unclear: set[str] = set()
    for node in tree.body:
        for name, value in _assigned(node):
            if value is None:
                unclear.add(name)
            else:
                values[name] = value
    return Assignments(values, frozenset(unclear))


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield the names that a statement sets, each with its expression, or with None if that is not a plain one."""
    if isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
        yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign):
        if isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
    elif not isinstance(node, SETS_NO_NAME):
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id, None
            elif isinstance(part, ast.alias):
                yield part.asname or part.name.partition(".")[0], None


@dataclass(frozen=True, slots=True)
class _Imported:
    """A name that a module imports: `inside` a module, or the module itself if `inside` is ''."""

    name: str
    module: str  # a relative one keeps its dots
    inside: str

    @property
    def as_module(self) -> str:
        """Return the module that the name stands for, if it is one."""
        if not self.inside:
            return self.module
        return f"{self.module}{'' if self.module.endswith('.') else '.'}{self.inside}"


class Module:
    """A module's source, and the values of its names. `roots` are folders that its imports are searched in, too."""

    def __init__(self, tree: ast.Module, path: Path, roots: tuple[Path, ...] = ()) -> None:
        self._tree = tree
        self._path = path
        self._roots = roots

    @cached_property
    def assigned(self) -> Assignments:
        return assignments(self._tree)

    @property
    def imports_all(self) -> bool:
        """Whether a `from … import *` may set any name."""
        return any(imported.inside == "*" for imported in self._imports)

    def imports(self, name: str) -> bool:
        return any(imported.name == name for imported in self._imports)

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        """Return the value of an expression of literals and names. Raises `UnknownValueError` for others."""
        if isinstance(node, (ast.Tuple, ast.List)):
            return tuple(self.value(item, depth) for item in node.elts)
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self.value_of(ast.unparse(node), depth)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError, MemoryError) as error:  # what `ast.literal_eval` raises
            raise UnknownValueError(str(error)) from error

    def value_of(self, name: str, depth: int = 0) -> Any:
        """Return the value of a name, or of `module.name`. Raises `UnknownValueError`."""
        assigned = self.assigned
        first = name.partition(".")[0]
        if depth > DEEPEST or first in assigned.unclear or _bindings(self._tree, first) != 1:
            raise UnknownValueError(f"{name} is not known")
        if name in assigned.values:
            return self.value(assigned.values[name], depth + 1)
        for imported in self._imports:
            if imported.name == name and imported.inside:
                return self._other(imported.module).value_of(imported.inside, depth + 1)
            if name.startswith(f"{imported.name}."):
                return self._other(imported.as_module).value_of(name.removeprefix(f"{imported.name}."), depth + 1)
        raise UnknownValueError(f"{name} is not known")

    @cached_property
    def _imports(self) -> tuple[_Imported, ...]:
        return tuple(_imports(self._tree))

    def _other(self, module: str) -> Module:
        """Return a module as it is imported from this one. Raises `UnknownValueError` unless it is exactly one."""
        files = set(_files(self._path, module, self._roots))
        if len(files) != 1:
            raise UnknownValueError(f"{module} is not one module of the repository")
        file = files.pop()
        try:
            return Module(tree_of(file.read_bytes(), str(file)), file, self._roots)
        except (OSError, SyntaxError, ValueError) as error:  # then its names are not known
            raise UnknownValueError(str(error)) from error


def _bindings(tree: ast.Module, name: str) -> int:
    """Return how often a module binds a name, in whatever block."""
    return sum(_binds(node, name) for node in ast.walk(tree))


def _binds(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=bound, ctx=ast.Store() | ast.Del()) | ast.Attribute(attr=bound, ctx=ast.Store() | ast.Del()):
            return bound == name
        case ast.FunctionDef(name=bound) | ast.AsyncFunctionDef(name=bound) | ast.ClassDef(name=bound):
            return bound == name
        case ast.alias():
            return node.name == "*" or (node.asname or node.name.partition(".")[0]) == name
    return False


def _imports(tree: ast.Module) -> Iterator[_Imported]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (_Imported(alias.asname or alias.name, module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (_Imported(alias.asname or alias.name, alias.name, "") for alias in node.names)


def _files(path: Path, module: str, roots: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the files that a module may be, as it is imported from `path`.

    Besides the roots, the folders above the script are searched, as the packages of its repository lie there.
    """
    level = len(module) - len(module.lstrip("."))
    parts = module[level:].split(".") if module[level:] else []
    above = list(path.parents)
    for folder in above[level - 1 : level] if level else (*roots, *above):
        place = folder.joinpath(*parts)
        for file in (place / "__init__.py", *([place.with_name(f"{place.name}.py")] if parts else [])):
            if file.is_file():
                yield file.resolve()
