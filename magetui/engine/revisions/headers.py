"""Headers of migration scripts, read from their syntax trees, which costs 70 microseconds per file.

Importing a script would run unknown code, and it fails if the project's own package cannot be imported. So a script is
only run, by the child process, if it computes a part of its header; that part alone is taken from its answer.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from magetui.engine.revisions.constants import Module, UnknownValueError
from magetui.engine.revisions.syntax import tree_of
from magetui.protocol.answers import ScriptHeader

HEADER = ("revision", "down_revision", "branch_labels", "depends_on")
ORDER = frozenset({"down_revision", "depends_on"})  # the parts of a header that give a revision its place
CREATED = re.compile(r"^Create Date:\s*(.+?)\s*$", re.MULTILINE)
NOT_RUN = (
    "Alembic can use these scripts, but magetui does not run them to read their order before you trust the project "
    "(--trust)."
)
NOT_IMPORTED = (
    "Alembic may be able to use these scripts under another interpreter: name the one of the project with --python."
)
ProblemCode = Literal[
    "duplicate-revision", "cycle", "missing-parent", "unreadable-script", "several-heads", "no-scripts"
]
Headers = Mapping[Path, ScriptHeader]


@dataclass(frozen=True, slots=True)
class Revision:
    """The header of one script. `created` is the date in the script's docstring, as it is written there.

    `computed` names the parts of the header that are not known, because only running the script can tell them.
    """

    revision: str
    down_revisions: tuple[str, ...]
    depends_on: tuple[str, ...]
    branch_labels: tuple[str, ...]
    message: str
    created: str | None
    path: Path
    computed: tuple[str, ...] = ()

    @property
    def parents(self) -> tuple[str, ...]:
        """Return the revisions that must run before this one."""
        return (*self.down_revisions, *self.depends_on)


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """A problem of the scripts themselves, with the files and revisions that have it.

    `is_ours`: Alembic can use the scripts, and only this program cannot. `was_run`: although it has run them.
    """

    code: ProblemCode
    message: str
    files: tuple[Path, ...] = ()
    revisions: tuple[str, ...] = ()
    is_ours: bool = False
    was_run: bool = False

    @property
    def advice(self) -> str:
        if self.is_ours:
            return NOT_IMPORTED if self.was_run else NOT_RUN
        return "Repair the scripts first."


def read_script(
    path: Path, roots: tuple[Path, ...] = (), answered: ScriptHeader | None = None
) -> Revision | ChainProblem:
    """Return the script's header, or the problem that makes it unreadable.

    Modules that it imports are searched in `roots`, too. `answered` is the header as the child process found it.
    """
    try:
        tree = tree_of(path.read_bytes(), str(path))
    except SyntaxError as error:
        return _unreadable(path, f"has a syntax error on line {error.lineno}: {error.msg}")
    except (OSError, ValueError) as error:
        return _unreadable(path, f"cannot be read: {error}")
    module = Module(tree, path, roots)
    header: dict[str, Any] = {}
    computed: list[str] = []
    for name in HEADER:
        try:
            header[name] = _declared(module, name)
        except UnknownValueError:
            if answered is None or answered.problem is not None:
                computed.append(name)
            else:
                header[name] = _answer(answered, name)
    if "revision" in computed:
        return computed_problem(path, ("revision",), answered)
    if not isinstance(header["revision"], str):
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
        computed=tuple(computed),
    )


def computed_problem(path: Path, names: Iterable[str], answered: ScriptHeader | None = None) -> ChainProblem:
    """Return the problem of a script that computes these parts of its header, and whose answer does not give them."""
    parts = " and ".join(f"its {name}" for name in names)
    if answered is None or answered.problem is None:
        why = f"{path.name} computes {parts}, so only running the script can tell."
        return ChainProblem("unreadable-script", why, (path,), is_ours=True)
    why = f"{path.name} computes {parts}, and running the script to read it failed: {answered.problem}."
    return ChainProblem("unreadable-script", why, (path,), is_ours=True, was_run=True)


def _declared(module: Module, name: str) -> Any:
    """Return what the script declares, or None if it declares nothing. Raises `UnknownValueError`."""
    assigned = module.assigned
    if name in assigned.unclear:
        raise UnknownValueError(f"{name} is set in several ways")
    if name in assigned.values:
        return module.value(assigned.values[name])
    if module.imports(name) or (name == "revision" and module.imports_all):
        return module.value_of(name)
    return None


def _answer(answered: ScriptHeader, name: str) -> Any:
    found = {"revision": answered.revision, "down_revision": answered.down_revisions, "depends_on": answered.depends_on}
    return found.get(name, answered.branch_labels)


def _unreadable(path: Path, why: str) -> ChainProblem:
    return ChainProblem("unreadable-script", f"{path.name} {why}.", (path,))


def _is_text_or_texts(value: Any) -> bool:
    texts = value if isinstance(value, (tuple, list, set)) else [value]
    return value is None or all(isinstance(text, str) for text in texts)


def _as_tuple(value: Any) -> tuple[str, ...]:
    """Return the texts of a header's value. A branch label may be anything; what is no text is left out."""
    if isinstance(value, str):
        return (value,)
    texts = value if isinstance(value, (tuple, list)) else sorted(value) if isinstance(value, set) else ()
    return tuple(text for text in texts if isinstance(text, str))
