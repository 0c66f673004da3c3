"""Dispatch of the command line: arguments in, exit status out.

Exit statuses: 0 done or healthy; 1 failed; 2 wrong usage; 3 a reading verb found something to act
on; 4 refused or not confirmed; 5 a lock timeout; 130 cancelled. If the reader of a pipe goes away, the signal
SIGPIPE ends the program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from magetui.cli.arguments import parser
from magetui.cli.output import complain, prepare_streams, print_lines
from magetui.config.settings import Settings, settings_of
from magetui.engine.errors import MagetuiError, UsageError
from magetui.verbs import PLAIN, verb

if TYPE_CHECKING:
    from magetui.model.plan import ChangeVerb

CANCELLED = 130
Handler = Callable[["Settings", Mapping[str, Any]], int]


def run(arguments: Sequence[str], open_screen: Callable[[Settings, str | None], int]) -> int:
    """Carry out one command line and return the exit status.

    `open_screen` opens the full-screen program, on the scenario of an incident if there is one. The command line
    receives the function, as it may not import the screen. Raises `BrokenPipeError` if the reader of the output went
    away.
    """
    prepare_streams()
    values = vars(parser(arguments).parse_args(arguments))
    name = values.pop("verb_name", None)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        _require_directory()
        settings = settings_of(values, os.environ, terminal=sys.stdout.isatty())
        if name is None and (values["completion"] or values["plain"]):
            return _special(values, arguments, open_screen)
        if name is None:
            return open_screen(settings, None) if terminal else _no_terminal()
        if name == "demo" and terminal:
            return open_screen(settings, values["scenario"])
        for warning in settings.warnings:
            complain(f"magetui: {warning}")
        return _handler(name)(settings, values)
    except MagetuiError as error:
        if values.get("json"):
            from magetui.text.documents import as_json

            print_lines([as_json({"error": error.message, "status": error.status})])
        complain(f"magetui: {error.message}")
        return error.status
    except KeyboardInterrupt:
        complain("magetui: interrupted; nothing was changed.")
        return CANCELLED


def _special(
    values: Mapping[str, Any], arguments: Sequence[str], open_screen: Callable[[Settings, str | None], int]
) -> int:
    """Carry out a command line without a verb that opens no screen."""
    if values["completion"]:
        from magetui.cli.completion import script

        print_lines([script(values["completion"])], exact=True)
        return 0
    from magetui.cli.plain import converse

    return converse([word for word in arguments if word != PLAIN.name], lambda words: run(words, open_screen))


def _require_directory() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("The current directory has been deleted. Change to one that exists, and try again.") from None


def _no_terminal() -> int:
    advice = "Without a terminal, use the verbs: magetui diagnose, magetui --help."
    complain(f"magetui: the full-screen program needs a terminal. {advice}")
    return 2


def _handler(name: str) -> Handler:
    """Return the function of a verb. Importing the function imports only what the verb needs."""
    if verb(name).changes:
        from magetui.cli.change_verbs import change

        return partial(change, cast("ChangeVerb", name))
    if name == "backup":
        from magetui.cli.backup_verb import back_up

        return back_up
    if name == "explain":
        from magetui.cli.explain_verb import explain_log

        return explain_log
    if name == "config":
        from magetui.cli.config_verb import show_configuration

        return show_configuration
    if name == "demo":
        from magetui.cli.demo_verb import show_practice

        return show_practice
    from magetui.cli.read_verbs import HANDLERS

    return HANDLERS[name]
