"""The keys of the verbs, for the screens that only show something: what a text names as the next step acts at once."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from magetui.verbs import VERBS, Verb


def action_of(verb: Verb) -> str:
    """Return the Textual action that a verb's key starts on the main screen."""
    if verb.changes:
        return f"app.change('{verb.name}')"
    return {"diagnose": "app.refresh"}.get(verb.name, f"app.{verb.name}")


# What a text on an untrusted project names. A screen with this key has `action_trust`.
TRUST_KEY = Binding("T", "trust", "Trust", show=False, tooltip="decide whether the project's code may run")

# A screen with these bindings has `action_verb`, which closes it and starts the verb on the main screen.
VERB_KEYS: list[BindingType] = [
    Binding(verb.key, f"verb('{verb.name}')", verb.label, show=False, tooltip=verb.summary, id=verb.name)
    for verb in VERBS
    if verb.key is not None
]
