"""The question whether a project's own code may run, for the command line and the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.engine.project.trust import ProjectCode

QUESTION = "Trust this project?"


def trust_lines(code: ProjectCode) -> Iterator[str]:
    """Yield what the operator must know before the answer: what would run, whose it is, and what has changed."""
    yield (
        f"The project {code.folder} has code of its own. If you trust it, magetui runs that code with your rights: "
        "its Python, its env.py, and the functions of its scripts. To learn what a script does, magetui calls its "
        "functions without the database, and stops them when they try to write a file or start a program."
    )
    if code.changed:
        yield f"You trusted it before. Since then these files have changed: {_names(code, code.changed)}."
    else:
        yield f"None of it has run yet. What runs is decided by {_names(code, [file.path for file in code.files])}."
    for stranger in code.strangers:
        yield f"Others can change it at any time: {stranger}."
    yield (
        "If one of these files changes, you are asked again. Scripts in these folders may change without a question: "
        "every release brings some. If you say no, magetui runs nothing of the project. It still reads the database "
        "and the text of the scripts, but it compares and plans only what it knows without running them."
    )


def _names(code: ProjectCode, paths: Sequence[str]) -> str:
    """Return the paths in a row, those in the project's folder without the folder."""
    return ", ".join(path.removeprefix(f"{code.folder}/") for path in paths if path != code.folder)
