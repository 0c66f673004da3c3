"""The content of scripts: a plan notes it, and a run compares it, so that what runs is what was consented to.

Ids are not enough: a deployment between the plan and the run can change what a revision does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.model.plan import ScriptContent

UNREADABLE = ""  # the digest of a file that cannot be read


def digest_of(file: Path) -> str:
    """Return the SHA-256 digest of a file in hexadecimal digits. Raises `OSError`."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def content_of(file: Path) -> ScriptContent:
    from magetui.model.plan import ScriptContent

    return ScriptContent(str(file), _digest(file))


def changed(contents: Iterable[ScriptContent]) -> Iterator[Path]:
    """Yield the files whose content is another one now."""
    for content in contents:
        file = Path(content.file)
        if _digest(file) != content.digest:
            yield file


def _digest(file: Path) -> str:
    try:
        return digest_of(file)
    except OSError:
        return UNREADABLE
