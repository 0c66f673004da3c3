"""Keys as the operator chose them, in Textual's words."""

from __future__ import annotations

from collections.abc import Mapping

from magetui.config.keys import ACTIONS
from magetui.verbs import Verb

COMMA = {",": "comma"}  # what stands between two keys in a keymap


def keymap(chosen: Mapping[str, str]) -> dict[str, str]:
    """The keymap, by the ids of bindings, which are the names of actions in the configuration file."""
    return {action: COMMA.get(key, key) for action, key in chosen.items()}


def key_of(action: str, chosen: Mapping[str, str]) -> str:
    """The key that an action has."""
    return chosen.get(action, ACTIONS[action])


def action_of(verb: Verb) -> str:
    """The action that a verb has on the screen."""
    if verb.changes:
        return f"app.change('{verb.name}')"
    return {"diagnose": "app.refresh"}.get(verb.name, f"app.{verb.name}")
