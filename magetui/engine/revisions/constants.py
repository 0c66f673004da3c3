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
    for module, imported, alias in _imports(tree):
        if alias != first:
            continue
        if not rest:
            return _constant_of(path, module, imported, depth)
        return _constant_of(path, f"{module}.{imported}" if imported else module, rest, depth)
    return None


def _constant_of(path: Path, module: str, name: str, depth: int) -> ast.expr | None:
    """Return the expression of a name in a module as it is imported from `path`."""
    file = _file(path, module)
    if file is None or depth > DEEPEST:
        return None
    try:
        tree = tree_of(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError):  # then the constant is not known
        return None
    return assigned(tree).get(name) or constant(tree, file, name, depth + 1)


def assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the expressions that a module assigns to names at its top level; of several, the last."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


def _imports(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Yield (module, imported name or '', the name here). A relative module keeps its dots."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((module, alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "", alias.asname) for alias in node.names if alias.asname)


def _file(path: Path, module: str) -> Path | None:
    """Return the file of a module as it is imported from `path`, or None. A relative name starts with dots."""
    level = len(module) - len(module.lstrip("."))
    parts = module[level:].split(".") if module[level:] else []
    above = list(path.parents)
    for folder in above[level - 1 : level] if level else above:
        place = folder.joinpath(*parts)
        for file in (place / "__init__.py", *([place.with_suffix(".py")] if parts else [])):
            if file.is_file():
                return file
    return None
