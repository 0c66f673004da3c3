"""Headers that only running a script can tell, asked of a child process that runs the script behind a barrier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.child import NoAnswerError, answer
from magetui.protocol import codec
from magetui.protocol.answers import ScriptHeader
from magetui.protocol.redaction import redact
from magetui.protocol.requests import HeadersRequest

if TYPE_CHECKING:
    from magetui.engine.revisions.headers import Headers
    from magetui.protocol.scripts import Scripts


def ask_headers(interpreter: str, folder: Path, scripts: Scripts, files: Sequence[Path]) -> Headers:
    """Return the header of each script, by its file. The reason why there is none is part of the answer."""
    request = HeadersRequest(scripts, tuple(map(str, files)))
    try:
        headers = codec.decode(tuple[ScriptHeader, ...], answer(interpreter, folder, request))
    except NoAnswerError as error:
        return {file: ScriptHeader(str(file), problem=error.message) for file in files}
    return {Path(header.file): _without_credentials(header) for header in headers}


def _without_credentials(header: ScriptHeader) -> ScriptHeader:
    return header if header.problem is None else replace(header, problem=redact(header.problem, ()))
