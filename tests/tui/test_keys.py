"""A key that an operator has learned on one screen does the same on every other."""

from __future__ import annotations

from pathlib import Path

from docs.keys import meanings, table

# One act on another object, or of another extent.
SAME = {
    "p": {"Plan", "Plan again"},
    "q": {"Quit", "Close"},
    "x": {"Cancel run", "Cancel backup"},
}


def test_no_letter_has_two_meanings() -> None:
    letters = {key: meaning.labels for key, meaning in meanings().items() if len(key) == 1}
    ambiguous = {key: labels for key, labels in letters.items() if len(labels) > 1 and labels != SAME.get(key)}
    assert ambiguous == {}


def test_no_two_letters_of_a_screen_mean_the_same() -> None:
    letters = {key: meaning.labels for key, meaning in meanings().items() if key.isalpha() and len(key) == 1}
    labels = [label for found in letters.values() for label in found]
    assert {label for label in labels if labels.count(label) > 1} <= {"Close"}


def test_the_table_of_keys_is_the_one_of_the_bindings() -> None:
    written = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    assert written == table(), "run: uv run python -m docs.keys"
