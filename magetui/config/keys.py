"""The keys of the main screen: what each does by default, and what `[keys]` of the operator's file makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from magetui.verbs import VERBS

# What a key does on the main screen and wherever else the same is offered; the name is the one in the file.
ACTIONS: Mapping[str, str] = {
    **{verb.name: verb.key for verb in VERBS if verb.key is not None},
    "connect": "c",
    "refresh": "r",
    "zoom": "z",
    "copy": "y",
    "write": "w",
    "connection": "1",
    "revisions": "2",
    "schema": "3",
    "log": "4",
    "commands": ":",
    "help": "?",
    "quit": "q",
}
# Lists are moved in with these, fields and questions are answered with them; or a terminal sends them for such a key.
FIXED = frozenset({*"jkgG/", *(f"ctrl+{letter}" for letter in "cdhijmpquz")})
NAMED = re.compile(r"f([1-9]|1[0-2])|ctrl\+[a-z]|[!-~]|[^\W_]")


def checked_keys(said: Mapping[str, object]) -> dict[str, str]:
    """`[keys]` of a file: action to key, for those that it changes. Raises `ValueError` with what is wrong."""
    from magetui.config.nearest import nearest

    for action, key in said.items():
        if action not in ACTIONS:
            raise ValueError(f"[keys] names '{action}', which is no action{nearest(action, ACTIONS)}")
        if not isinstance(key, str) or not NAMED.fullmatch(key):
            raise ValueError(f"the key of '{action}' must be one character, ctrl+ and a letter, or f1 to f12")
        if key in FIXED:
            raise ValueError(f"'{action}' cannot have the key {key}: lists and questions are answered with it")
    changed = {action: str(key) for action, key in said.items()}
    taken: dict[str, str] = {}
    for action, key in {**ACTIONS, **changed}.items():
        if key in taken:
            raise ValueError(
                f"the key {key} would be both '{taken[key]}' and '{action}': give one of them another in [keys]"
            )
        taken[key] = action
    return {action: key for action, key in changed.items() if key != ACTIONS[action]}
