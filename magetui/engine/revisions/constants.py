"""Constants that a script imports from its own repository, found in the source without importing anything.

OpenStack's scripts, for one, label their branches with a constant of their command line's module.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from magetui.engine.revisions.syntax import tree_of

DEEPEST = 4  # modules, one importing the constant from the next


def constant(tree: ast.Module, path: Path, name: str, depth: int = 0) -> ast.expr | None:
    """Return the expression that `name`, or `module.name`, stands for in the script at `path`, or None.

    Only files beside the script or above it are searched, as the packages of its repository are.
    """
    first, _, rest = name.partition(".")
    if _bindings(tree, first) != 1:
        return None
    for module, imported, alias in _imports(tree):
        if alias == first and not rest:
            return _constant_of(path, module, imported, depth)
        if alias == first:
            return _constant_of(path, f"{module}.{imported}" if imported else module, rest, depth)
    return None


def assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a module assigns at its top level, with their expressions, in order."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _constant_of(path: Path, module: str, name: str, depth: int) -> ast.expr | None:
    """Return the expression of a name in a module as it is imported from `path`."""
    file = _file(path, module)
    if file is None or depth > DEEPEST:
        return None
    try:
        tree = tree_of(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):  # then the constant is not known
        return None
    if _bindings(tree, name) != 1:
        return None
    found = (value for assigned, value in assignments(tree) if assigned == name)
    return next(found, None) or constant(tree, file, name, depth + 1)


def _bindings(tree: ast.Module, name: str) -> int:
    """Return how often a module binds a name, in whatever block. Only what is bound once is a constant."""
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


def _imports(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Yield (module, imported name or '', the name here). A relative module keeps its dots."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((module, alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "", alias.asname) for alias in node.names if alias.asname)


def _file(path: Path, module: str) -> Path | None:
    """Return the file of a module as it is imported from `path`; None if there is none, or several could be meant.

    A relative name starts with dots.
    """
    level = len(module) - len(module.lstrip("."))
    parts = module[level:].split(".") if module[level:] else []
    above = list(path.parents)
    places = [folder.joinpath(*parts) for folder in (above[level - 1 : level] if level else above)]
    packages = [place / "__init__.py" for place in places]
    modules = [place.with_suffix(".py") for place in places if parts]
    found = [file for file in (*packages, *modules) if file.is_file()]
    return found[0] if len(found) == 1 else None
