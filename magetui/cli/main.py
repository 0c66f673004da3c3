"""The command line's dispatch: one line of arguments in, one exit status out.

Exit statuses: 0 done or healthy; 1 failed; 2 wrong usage; 3 `diagnose` found something to act on; 4 refused or not
confirmed; 5 a lock timeout; 130 cancelled.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from magetui.cli.arguments import parser
from magetui.cli.output import complain, print_lines
from magetui.config.settings import settings_of
from magetui.engine.errors import MagetuiError
from magetui.verbs import verb

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.model.plan import ChangeVerb

CANCELLED = 130
Handler = Callable[["Settings", Mapping[str, Any]], int]


@dataclass(frozen=True, slots=True)
class Screens:
    """The full-screen program, as the command line is handed it: it stands on the same floor and is not known here."""

    open: Callable[[Settings], int]
    practise: Callable[[Settings, str], int]


def run(arguments: Sequence[str], screens: Screens) -> int:
    """Carry out one command line; returns the exit status."""
    values = vars(parser().parse_args(arguments))
    name = values.pop("verb_name", None)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        settings = settings_of(values, os.environ, terminal=sys.stdout.isatty())
        if name is None:
            return screens.open(settings) if terminal else _no_terminal()
        if name == "demo" and terminal:
            return screens.practise(settings, values["scenario"])
        for warning in settings.warnings:
            complain(f"magetui: {warning}")
        return _handler(name)(settings, values)
    except MagetuiError as error:
        if values.get("json"):
            print_lines([json.dumps({"error": error.message, "status": error.status})])
        complain(f"magetui: {error.message}")
        return error.status
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - the reader went away; nothing more is to be said
        return 1
    except KeyboardInterrupt:
        complain("magetui: interrupted; nothing was changed.")
        return CANCELLED


def _no_terminal() -> int:
    complain(
        "magetui: the full-screen program needs a terminal. Without one, use the verbs: "
        "magetui diagnose, magetui --help."
    )
    return 2


def _handler(name: str) -> Handler:
    """The function of a verb; importing it imports what that verb needs."""
    if verb(name).changes:
        from magetui.cli.change_verbs import handler

        return handler(cast("ChangeVerb", name))
    if name == "backup":
        from magetui.cli.backup_verb import back_up

        return back_up
    if name == "verify":
        from magetui.cli.verify_verb import verified

        return verified
    if name == "config":
        from magetui.cli.config_verb import show_configuration

        return show_configuration
    if name == "demo":
        from magetui.cli.demo_verb import tell_practice

        return tell_practice
    from magetui.cli.read_verbs import HANDLERS

    return HANDLERS[name]
