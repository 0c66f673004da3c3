"""The plain mode: one verb after another as questions and answers in lines, for a screen reader or a slow line.

The verbs are those of the command line, with the same texts and consents. This module only asks which one is next.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence

from magetui.cli.output import complain, print_lines
from magetui.verbs import VERBS, Verb

QUESTION = "What next? A verb or its key; ? lists them, q leaves."
PROMPT = "magetui> "
LEAVE = frozenset({"q", "quit", "exit"})
CarryOut = Callable[[Sequence[str]], int]


def converse(common: Sequence[str], carry_out: CarryOut) -> int:
    """Diagnose, then carry out one verb after another until the operator leaves. Return the exit status.

    `common` are the flags of the program, such as `--url`; `carry_out` carries out one command line. After a verb that
    changes something, the database is diagnosed again.
    """
    _carry_out(["diagnose", *common], carry_out)
    for words in _answers():
        found = next((verb for verb in VERBS if words[0] in (verb.name, verb.key)), None)
        if words[0] in ("?", "help"):
            print_lines(_verbs())
        elif found is None or found.name == "demo":
            complain("There is no such verb.")
        else:
            missing = _missing(found, words[1:])
            if missing is None:
                continue
            # What was typed comes last: of a flag that is given twice, the last one counts.
            _carry_out([found.name, *common, *words[1:], *missing], carry_out)
            if found.changes:
                _carry_out(["diagnose", *common], carry_out)
    return 0


def _carry_out(arguments: Sequence[str], carry_out: CarryOut) -> None:
    """Carry out a command line. A wrong one is reported by its parser, which wants to end the program."""
    try:
        carry_out(arguments)
    except SystemExit:
        return


def _answers() -> Iterator[list[str]]:
    """Yield the words of each answer until the operator leaves or the input ends."""
    while True:
        complain(f"\n{QUESTION}")
        line = _read(PROMPT)
        if line is None:
            return
        try:
            words = shlex.split(line)
        except ValueError as error:
            complain(f"The answer cannot be read: {error}.")
            continue
        if words[:1] == ["magetui"]:
            words = words[1:]
        if words and words[0] in LEAVE:
            return
        if words:
            yield words


def _missing(verb: Verb, given: Sequence[str]) -> list[str] | None:
    """Ask for what the verb needs and the answer does not have. Return None if there was no answer."""
    needed = [parameter for parameter in verb.parameters if parameter.positional and parameter.required]
    values = []
    for parameter in needed[sum(not word.startswith("-") for word in given) :]:
        value = _read(f"{parameter.help}: ")
        if value is None:
            return None
        values += [value] if value else []
    return values


def _read(prompt: str) -> str | None:
    """Return the line that was typed, or None if the input has ended or was interrupted."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        return None
    return line.strip() if line else None


def _verbs() -> Iterator[str]:
    for verb in VERBS:
        if verb.name != "demo":
            yield f"{verb.key or '':<2}{verb.name:<10} {verb.summary}"
