"""The parser of the command line, made from the registry of verbs. Its errors never repeat what was typed."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from magetui import __version__
from magetui.config.options import BY_NAME
from magetui.verbs import COMMON, VERBS, Parameter

UNRECOGNIZED = "unrecognized arguments: "  # as argparse words it


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors repeat no argument, because an argument may be a credential."""

    def error(self, message: str) -> NoReturn:
        from magetui.protocol.redaction import redact
        from magetui.text.formats import for_terminal

        if message.startswith(UNRECOGNIZED):
            words = message.removeprefix(UNRECOGNIZED).split()
            flags = [word.partition("=")[0] for word in words if word.startswith("-")]
            message = f"{UNRECOGNIZED}{' '.join(flags) or 'more than the verb takes'}"
        if "://" in message:
            message = f"{message.partition('://')[0]}://…"
        self.print_usage(sys.stderr)
        message = for_terminal(redact(message, ()), colour=False)
        self.exit(2, f"magetui: {message}. 'magetui --help' lists the verbs and flags.\n")


def parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    for parameter in COMMON:
        _add(common, parameter, argparse.SUPPRESS)
    parser = Parser(
        prog="magetui",
        parents=[common],
        description="Recover a database whose Alembic migrations went wrong. Without a verb, the screen opens.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"magetui {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb_name", parser_class=Parser)
    for verb in VERBS:
        description = f"{verb.summary} ({verb.danger})."
        verb_parser = verbs.add_parser(
            verb.name, parents=[common], help=verb.summary, description=description, allow_abbrev=False
        )
        for parameter in verb.parameters:
            # A setting has its default in the configuration, which must see whether the flag was given.
            _add(verb_parser, parameter, argparse.SUPPRESS if parameter.key in BY_NAME else parameter.default)
    return parser


def _add(parser: argparse.ArgumentParser, parameter: Parameter, default: Any) -> None:
    options: dict[str, Any] = {"help": parameter.help, "default": default}
    if parameter.metavar is None:
        options |= {"action": "store_true", "default": default or False}
    else:
        options |= {"metavar": parameter.metavar, "type": parameter.kind, "choices": parameter.choices or None}
        if parameter.positional and not parameter.required:
            options["nargs"] = "?"
    parser.add_argument(parameter.key if parameter.positional else parameter.name, **options)
