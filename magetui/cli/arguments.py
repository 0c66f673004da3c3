"""The parser of the command line, made from the registry of verbs. Its errors never repeat what was typed."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, cast

from magetui import __version__
from magetui.config.options import BY_NAME, nearest
from magetui.verbs import COMMON, COMPLETION, PLAIN, VERBS, Parameter, Verb

# As argparse words its errors:
UNRECOGNIZED = "unrecognized arguments: "
MISSING = "the following arguments are required: "
CHOICE = re.compile(
    r"argument (?P<name>\S+): invalid choice: (?P<given>.*) \(choose from (?P<known>[^()]*)\)", re.DOTALL
)
ARGUMENT = re.compile(r"argument (\S+): (?:this |(?=expected))")
NO_VALUE = "expected one argument"
FLAGS = frozenset(p.name for verb in VERBS for p in (*verb.parameters, *COMMON) if not p.positional)
WIDTH = 78


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors repeat no argument, because an argument may be a credential."""

    def error(self, message: str) -> NoReturn:
        from magetui.protocol.redaction import redact
        from magetui.text.formats import for_terminal

        if message.startswith(UNRECOGNIZED):
            message = _unrecognized(message.removeprefix(UNRECOGNIZED).split())
        elif match := CHOICE.fullmatch(message):
            known = re.findall(r"[\w-]+", match["known"])
            message = _not_a_choice(match["name"], match["given"].strip("'\""), known)
        elif message.startswith(MISSING):
            message = f"'{self.prog}' needs {message.removeprefix(MISSING)}"
        message = ARGUMENT.sub(r"\1 ", message).replace(NO_VALUE, "needs a value")
        if "://" in message:
            message = f"{message.partition('://')[0]}://…"
        message = for_terminal(redact(message, ()), colour=False)
        end = "" if message.endswith("?") else "."
        self.exit(2, f"magetui: {message}{end} 'magetui --help' lists the verbs and flags.\n")


def _unrecognized(words: list[str]) -> str:
    flags = [word.partition("=")[0] for word in words if word.startswith("-")]
    if not flags:
        return "these are more arguments than the verb takes"
    if flags[0] in FLAGS:
        return f"this verb does not take {flags[0]}"
    return f"there is no flag {flags[0]}{nearest(flags[0], FLAGS)}"


def _not_a_choice(name: str, given: str, known: list[str]) -> str:
    near = nearest(given, known)
    if len(known) == len(VERBS):
        return f"there is no such verb{near}"
    return f"{name} must be {', '.join(known[:-1])} or {known[-1]}{near}"


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser for these arguments. Only the verbs among them get their parameters, which saves time."""
    parser = Parser(
        prog="magetui",
        usage="magetui [flags] [VERB ...]",
        description="Recover a database whose Alembic migrations went wrong. Without a verb, the screen opens.",
        epilog="'magetui VERB --help' shows the flags of a verb, and examples.",
        allow_abbrev=False,
        add_help=False,
    )
    unnamed = Parser(add_help=False)  # the parser of every other verb, since making twenty takes as long as a query

    def verb_parser(**settings: Any) -> Parser:
        return Parser(**settings) if "usage" in settings else unnamed

    verbs = parser.add_subparsers(
        title="verbs",
        metavar="VERB",
        dest="verb_name",
        prog=parser.prog,
        parser_class=cast("type[Parser]", verb_parser),
    )
    for verb in VERBS:
        if verb.name in arguments:
            _add_parameters(verbs.add_parser(verb.name, help=verb.summary, **_about(verb)), verb)
        else:
            verbs.add_parser(verb.name, help=verb.summary)
    group = _common(parser, "flags")
    _add(group, PLAIN, None)
    _add(group, COMPLETION, None)
    group.add_argument("--version", action="version", version=f"magetui {__version__}", help="print the version")
    return parser


def _about(verb: Verb) -> dict[str, Any]:
    """Return the settings of a verb's parser."""
    arguments = [f" {p.name}" if p.required else f" [{p.name}]" for p in verb.parameters if p.positional]
    summary = f"{verb.summary[0].upper()}{verb.summary[1:]} ({verb.danger})."
    return {
        "usage": f"magetui {verb.name} [flags]{''.join(arguments)}",
        "description": textwrap.fill(summary, WIDTH),
        "epilog": "\n".join((f"example{'s' * (len(verb.examples) > 1)}:", *(f"  {line}" for line in verb.examples))),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
        "add_help": False,
    }


def _add_parameters(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """Add the parameters of a verb, then those that every verb has."""
    groups: Iterable[tuple[str, list[Parameter]]] = (
        ("arguments", [parameter for parameter in verb.parameters if parameter.positional]),
        (f"flags of {verb.name}", [parameter for parameter in verb.parameters if not parameter.positional]),
    )
    for title, parameters in groups:
        group = parser.add_argument_group(title)
        for parameter in parameters:
            # A setting has its default in the configuration, which must see whether the flag was given.
            _add(group, parameter, argparse.SUPPRESS if parameter.key in BY_NAME else parameter.default)
    _common(parser, "flags of every verb")


def _common(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    group = parser.add_argument_group(title)
    for parameter in COMMON:
        _add(group, parameter, argparse.SUPPRESS)
    group.add_argument("-h", "--help", action="help", help="show this help")
    return group


def _add(group: argparse._ArgumentGroup, parameter: Parameter, default: Any) -> None:
    options: dict[str, Any] = {"help": parameter.help, "default": default}
    if parameter.metavar is None:
        options |= {"action": "store_true", "default": default or False}
    else:
        options |= {"metavar": parameter.metavar, "type": parameter.kind, "choices": parameter.choices or None}
        if parameter.positional and not parameter.required:
            options["nargs"] = "?"
    group.add_argument(parameter.key if parameter.positional else parameter.name, **options)
