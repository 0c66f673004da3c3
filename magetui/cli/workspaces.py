"""The workspace of a verb on the command line, which asks on the terminal whether a project's own code may run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from magetui.cli.output import complain, complain_wrapped, read_answer
from magetui.engine.workspace import Workspace

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.engine.project.trust import ProjectCode


def open_workspace(settings: Settings) -> Workspace:
    """Return the workspace of the settings. Without a terminal, only what is trusted already may run."""
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    return Workspace(settings.selection, ask_trust=_ask if asks else None)


def _ask(code: ProjectCode) -> bool:
    from magetui.engine.project.trust import trust
    from magetui.text.consent import Consent
    from magetui.text.trust import QUESTION, trust_lines

    for line in trust_lines(code):
        complain_wrapped(line)
    if not Consent().is_given(read_answer(f"{QUESTION} [y/N] ")):
        return False
    try:
        trust(code, os.environ)
    except OSError as error:
        complain(f"magetui: this answer cannot be remembered: {error.strerror}. You will be asked again.")
    return True
