"""The verb `explain`: a log from a file or from standard input, explained, and compared with the live database.

Nothing of the log is stored. The database is only read, and without one the log is still explained.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magetui.cli.output import answer, complain_wrapped
from magetui.cli.workspaces import open_workspace
from magetui.engine.errors import MagetuiError, UsageError
from magetui.engine.explain.explanation import Explanation, compare, explain
from magetui.engine.explain.reading import read_log
from magetui.engine.schema.snapshot import open_reading
from magetui.protocol.redaction import redact, store_secrets
from magetui.text import explanation as words

if TYPE_CHECKING:
    from magetui.config.settings import Settings

NOTHING_FOUND = 1


def explain_log(settings: Settings, values: Mapping[str, Any]) -> int:
    """Print the explanation and return 0; 1 if the log has no error that is known."""
    secrets = store_secrets(os.environ)
    error = read_log(_text(values.get("file")), lambda text: redact(text, secrets))
    if error is None:
        answer(settings, lambda: {"trouble": None, "message": words.UNKNOWN}, lambda _text: [words.UNKNOWN])
        return NOTHING_FOUND
    found = _compared(settings, explain(error))
    answer(settings, lambda: words.document(found), lambda _text: words.lines(found))
    return 0


def _text(file: str | None) -> str:
    """Return the log. Bytes that are no text are kept visible."""
    if file in (None, "-"):
        if sys.stdin.isatty():
            raise UsageError("Name a file, or pipe a log into it: kubectl logs POD | magetui explain")
        return sys.stdin.buffer.read().decode("utf-8", "backslashreplace")
    try:
        return Path(file or "").read_bytes().decode("utf-8", "backslashreplace")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None


def _compared(settings: Settings, explanation: Explanation) -> Explanation:
    """Return the explanation with what the live database says of it, if one can be read."""
    try:
        with open_reading(open_workspace(settings)) as reading:
            return replace(explanation, live=compare(explanation, reading))
    except MagetuiError as error:
        complain_wrapped(f"This was not compared with a database. {error.message}")
        return explanation
