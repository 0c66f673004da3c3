"""The operator's keys, in the form that Textual needs."""

from __future__ import annotations

from collections.abc import Mapping

from magetui.config.keys import ACTIONS
from magetui.verbs import Verb

COMMA = {",": "comma"}  # in a keymap, a comma separates two keys


def keymap(chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the keymap by binding id. A binding's id is the name of its action in the configuration file."""
    return {action: COMMA.get(key, key) for action, key in chosen.items()}


def key_of(action: str, chosen: Mapping[str, str]) -> str:
    """Return the key of an action: the operator's choice, or the default."""
    return chosen.get(action, ACTIONS[action])


def action_of(verb: Verb) -> str:
    """Return the Textual action that a verb's key starts on the main screen."""
    if verb.changes:
        return f"app.change('{verb.name}')"
    return {"diagnose": "app.refresh"}.get(verb.name, f"app.{verb.name}")
