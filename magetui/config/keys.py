"""The keys of the main screen: the default key of each action, and the changes in `[keys]` of the operator's file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from magetui.verbs import VERBS

# Action to default key, on the main screen and on every other screen with the same action.
ACTIONS: Mapping[str, str] = {
    **{verb.name: verb.key for verb in VERBS if verb.key is not None},
    "connect": "c",
    "refresh": "r",
    "trust": "T",
    "zoom": "z",
    "copy": "y",
    "copy-all": "Y",
    "write": "w",
    "connection": "1",
    "revisions": "2",
    "schema": "3",
    "log": "4",
    "commands": ":",
    "help": "?",
    "quit": "q",
}
# These keys move in lists and answer questions, or a terminal sends them for such a key.
FIXED = frozenset({*"jkgG/", *(f"ctrl+{letter}" for letter in "cdhijmpquz")})
NAMED = re.compile(r"f([1-9]|1[0-2])|ctrl\+[a-z]|[!-~]|[^\W_]")


def checked_keys(table: Mapping[str, object]) -> dict[str, str]:
    """Return the actions that `[keys]` of a file changes, with their keys. Raises `ValueError` with the reason."""
    from magetui.config.options import nearest

    for action, key in table.items():
        if action not in ACTIONS:
            raise ValueError(f"[keys] names '{action}', which is not an action{nearest(action, ACTIONS)}")
        if not isinstance(key, str) or not NAMED.fullmatch(key):
            raise ValueError(f"the key of '{action}' must be one character, ctrl+ and a letter, or f1 to f12")
        if key in FIXED:
            raise ValueError(f"'{action}' cannot have the key {key}: lists and questions need this key")
    changed = {action: str(key) for action, key in table.items()}
    taken: dict[str, str] = {}
    for action, key in {**ACTIONS, **changed}.items():
        if key in taken:
            raise ValueError(
                f"the key {key} would mean both '{taken[key]}' and '{action}': change one of the two in [keys]"
            )
        taken[key] = action
    return {action: key for action, key in changed.items() if key != ACTIONS[action]}
