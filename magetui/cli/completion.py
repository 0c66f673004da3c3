"""Completion in bash, zsh and fish: verbs, flags and choices from the registry; revisions, targets and runs from files.

argcomplete does it: the shell calls magetui again for each TAB. Nothing here runs code of a project or asks a database.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from magetui.cli.arguments import parser
from magetui.config.options import THEMES
from magetui.config.settings import Settings, settings_of
from magetui.engine.errors import MagetuiError
from magetui.protocol.redaction import redact
from magetui.text.formats import plain
from magetui.verbs import VERBS

FILES = ("FILE", "DIR")
IS_TYPED = re.compile(r"[\w.+-]+")  # a revision that a shell takes as it is


def script(shell: str) -> str:
    """Return the code that a shell evaluates once: `eval "$(magetui --completion bash)"`."""
    from argcomplete.shell_integration import shellcode

    return shellcode(["magetui"], shell=shell)


def complete() -> None:
    """Answer the shell that asks for completions, and end the process."""
    import argcomplete
    from argcomplete.completers import BaseCompleter, FilesCompleter

    made = parser([verb.name for verb in VERBS])
    by_name = {"target": _targets, "r": _revisions, "revision": _revisions, "id": _runs, "theme": _themes}
    verbs = next(action.choices for action in made._actions if isinstance(action.choices, dict))
    for each in (made, *verbs.values()):
        for action in each._actions:
            found = FilesCompleter() if action.metavar in FILES else by_name.get(action.dest)
            if found is not None:
                action.completer = found
    argcomplete.autocomplete(made, always_complete_options=False, default_completer=BaseCompleter())


def _settings(parsed: argparse.Namespace, **changes: str | None) -> Settings:
    return settings_of({**vars(parsed), **changes}, os.environ, terminal=False)


def _revisions(parsed_args: argparse.Namespace, **_: Any) -> Mapping[str, str]:
    """Return the revisions of the chain with their messages, and the names that Alembic knows, from the files alone."""
    from magetui.engine.workspace import Workspace

    found = {"head": "the newest revision", "base": "before the first revision"}
    with suppress(MagetuiError, OSError):  # a TAB says nothing; the verb will say what is wrong
        chain = Workspace(_settings(parsed_args).selection).chain
        found |= {
            one.revision: redact(plain(one.message), ()) for one in chain.revisions if IS_TYPED.fullmatch(one.revision)
        }
    return found


def _targets(parsed_args: argparse.Namespace, **_: Any) -> Mapping[str, str]:
    with suppress(MagetuiError, OSError):
        return {target.name: target.description or "" for target in _settings(parsed_args, target=None).targets}
    return {}


def _themes(**_: Any) -> tuple[str, ...]:
    return THEMES


def _runs(**_: Any) -> Mapping[str, str]:
    from magetui.engine.runs import follow

    with suppress(MagetuiError, OSError):
        return {str(record.run): f"{record.verb}, {record.outcome}" for record in follow.list_runs(os.environ).records}
    return {}
