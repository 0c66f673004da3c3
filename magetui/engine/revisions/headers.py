"""Headers of migration scripts, read from their syntax trees, which costs 70 microseconds per file.

Importing a script would run unknown code, and it fails if the project's own package cannot be imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from magetui.engine.revisions.constants import assignments, constant
from magetui.engine.revisions.syntax import tree_of

HEADER = ("revision", "down_revision", "branch_labels", "depends_on")
CREATED = re.compile(r"^Create Date:\s*(.+?)\s*$", re.MULTILINE)
NOT_RUN = "Alembic can use these scripts, but magetui does not run them to read their order."
ProblemCode = Literal[
    "duplicate-revision", "cycle", "missing-parent", "unreadable-script", "several-heads", "no-scripts"
]


@dataclass(frozen=True, slots=True)
class Revision:
    """The header of one script. `created` is the date in the script's docstring, as it is written there."""

    revision: str
    down_revisions: tuple[str, ...]
    depends_on: tuple[str, ...]
    branch_labels: tuple[str, ...]
    message: str
    created: str | None
    path: Path

    @property
    def parents(self) -> tuple[str, ...]:
        """Return the revisions that must run before this one."""
        return (*self.down_revisions, *self.depends_on)


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """A problem of the scripts themselves, with the files and revisions that have it.

    `is_ours`: Alembic can use the scripts, and only this program cannot, because it does not run them.
    """

    code: ProblemCode
    message: str
    files: tuple[Path, ...] = ()
    revisions: tuple[str, ...] = ()
    is_ours: bool = False

    @property
    def advice(self) -> str:
        return NOT_RUN if self.is_ours else "Repair the scripts first."


def read_script(path: Path) -> Revision | ChainProblem:
    """Return the script's header, or the problem that makes it unreadable."""
    try:
        tree = tree_of(path.read_bytes(), str(path))
    except SyntaxError as error:
        return _unreadable(path, f"has a syntax error on line {error.lineno}: {error.msg}")
    except (OSError, ValueError) as error:
        return _unreadable(path, f"cannot be read: {error}")
    header: dict[str, Any] = {}

    def imported(name: str) -> Any:
        found = constant(tree, path, name)
        if found is None:
            raise ValueError(f"{name} is not known")
        return _literal(found, {}, None)

    for name, value in assignments(tree):
        try:
            header[name] = _literal(value, header, imported if name in HEADER else None)
        except (ValueError, TypeError, RecursionError, MemoryError):  # what `ast.literal_eval` raises
            if name in HEADER and name != "branch_labels":  # a label is another name, and changes no order
                why = f"{path.name} computes its {name}, so it cannot be read without running the script."
                return ChainProblem("unreadable-script", why, (path,), is_ours=True)
    if not isinstance(header.get("revision"), str):
        return _unreadable(path, "does not declare its revision as a text")
    for name in ("down_revision", "depends_on"):
        if not _is_text_or_texts(header.get(name)):
            return _unreadable(path, f"declares its {name} as what is neither a text nor a list of texts")
    docstring = ast.get_docstring(tree) or ""
    created = CREATED.search(docstring)
    return Revision(
        revision=header["revision"],
        down_revisions=_as_tuple(header.get("down_revision")),
        depends_on=_as_tuple(header.get("depends_on")),
        branch_labels=_as_tuple(header.get("branch_labels")),
        message=docstring.strip().split("\n\n")[0].replace("\n", " ") if docstring else "",
        created=created[1] if created else None,
        path=path,
    )


def _unreadable(path: Path, why: str) -> ChainProblem:
    return ChainProblem("unreadable-script", f"{path.name} {why}.", (path,))


def _literal(node: ast.expr, known: Mapping[str, Any], imported: Callable[[str], Any] | None) -> Any:
    """Return the value of an expression of literals and of names that are `known`. Raises `ValueError` for others.

    `imported` gives the value of a name that is not known, such as `cli.EXPAND_BRANCH`.
    """
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_literal(item, known, imported) for item in node.elts)
    if imported is not None and isinstance(node, (ast.Name, ast.Attribute)):
        return imported(ast.unparse(node))
    return ast.literal_eval(node)


def _is_text_or_texts(value: Any) -> bool:
    texts = value if isinstance(value, (tuple, list, set)) else [value]
    return value is None or all(isinstance(text, str) for text in texts)


def _as_tuple(value: Any) -> tuple[str, ...]:
    """Return the texts of a header's value. A branch label may be anything; what is no text is left out."""
    if isinstance(value, str):
        return (value,)
    texts = value if isinstance(value, (tuple, list)) else sorted(value) if isinstance(value, set) else ()
    return tuple(text for text in texts if isinstance(text, str))
