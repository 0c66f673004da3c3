"""The keys of the verbs, for the screens that only show something: what a text names as the next step acts at once."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from magetui.verbs import VERBS, Verb


def action_of(verb: Verb) -> str:
    """Return the Textual action that a verb's key starts on the main screen."""
    if verb.changes:
        return f"app.change('{verb.name}')"
    return {"diagnose": "app.refresh"}.get(verb.name, f"app.{verb.name}")


# What a text names that says why a screen has nothing to show: an untrusted project, or a database that is away.
WAYS_OUT: list[BindingType] = [
    Binding("T", "trust", "Trust", show=False, tooltip="decide whether the project's code may run", id="trust"),
    Binding("c", "elsewhere", "Connect", show=False, tooltip="connect to another database", id="connect"),
    Binding("2", "revisions", "Revisions pane", show=False, id="revisions"),
]

# What a plan that will fail, and a run that has failed, name instead.
REPAIRS = frozenset({"evidence", "finish", "undo", "repair", "clean"})

# A screen with these bindings has `action_verb`, which closes it and starts the verb on the main screen.
VERB_KEYS: list[Binding] = [
    Binding(verb.key, f"verb('{verb.name}')", verb.label, show=False, tooltip=verb.summary, id=verb.name)
    for verb in VERBS
    if verb.key is not None
]
