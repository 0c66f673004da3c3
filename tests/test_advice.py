"""Advice on the screen names keys and fields, where the command line names commands and flags."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import magetui
from magetui.config.keys import ACTIONS
from magetui.text.advice import for_screen

PACKAGE = Path(magetui.__file__).parent
# What only the command line prints, or only the child process and its files say.
NOT_ON_THE_SCREEN = {
    "text/terminal.py", "text/sql_script.py", "text/run_report.py", "verbs.py", "engine/demo/demo.py",
    "engine/project/release_tags.py", "__main__.py",
}  # fmt: skip
# Flags for which the screen has a key or a field.
WITH_A_KEY = ("in-doubt", "revision", "replace-unknown-revision", "lock-timeout-seconds", "output", "pg-dump", "url")
LEFT = re.compile(
    rf"(?:'|: |^ *)magetui (?:{'|'.join(map(re.escape, ACTIONS))})\b|(?<![\w-])--(?:{'|'.join(WITH_A_KEY)})\b"
)


def key_of(action: str) -> str:
    return ACTIONS[action]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Use 'magetui verify' first.", "Use v (Verify) first."),
        ("'magetui locks --terminate 4711' ends it.", "l (Locks), then K on session 4711 ends it."),
        ("Cancel the run instead: 'magetui runs 3 --cancel'.", "Cancel the run instead: u (Runs), run 3, then x."),
        ("roll back first: 'magetui rollback --revision 42a1'.", "roll back first: b (Roll back) for 42a1."),
        ("Use 'rollback --revision -1'.", "Use b (Roll back) for -1."),
        ("a known revision R: magetui stamp R --replace-unknown-revision x1", "a known revision R: s (Stamp) for R"),
        ("This command shows the plan of 'finish':", "This key shows the plan of 'finish':"),
        ("magetui plan finish", "f (Finish)"),
        ("To check another revision: magetui verify R", "To check another revision: s (Stamp) for R, then v"),
        (
            "Then use --in-doubt run if it was not run, or --in-doubt skip if it was.",
            "Then use a (run it) if it was not run, or a twice (skip it) if it was.",
        ),
        ("Give it with --url. 'magetui history' lists all.", "Give it with c (Connect). 2 (Revisions) lists all."),
        # What is no advice stays as it is.
        ("No database at db1 (from --url).", "No database at db1 (from --url)."),
        ('relation "stamp" does not exist', 'relation "stamp" does not exist'),
        ("Invalid object name 'stamp'.", "Invalid object name 'stamp'."),
        ("magetui runs as 'pip install x'", "magetui runs as 'pip install x'"),
        ("'finish' does its missing operations.", "'finish' does its missing operations."),
    ],
)
def test_commands_and_flags_become_keys(said: str, shown: str) -> None:
    assert for_screen(said, key_of) == shown


def test_a_key_that_the_operator_has_changed_is_the_one_that_is_named() -> None:
    assert for_screen("Use 'magetui verify' first.", lambda action: {"verify": "V"}[action]) == "Use V (Verify) first."


def texts(path: Path) -> Iterator[str]:
    """Yield each text of a module that is no docstring. A value that is put into a text counts as X."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | docstrings:
            yield node.value


def test_no_text_that_may_reach_the_screen_keeps_a_command_or_flag_that_has_a_key() -> None:
    left = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if name in NOT_ON_THE_SCREEN or name.startswith(("cli/", "tui/", "engine/demo/demo_project/", "config/")):
            continue
        left += [f"{name}: {text}" for text in texts(path) if " " in text and LEFT.search(for_screen(text, key_of))]
    assert not left, "\n".join(left)


def test_no_text_of_the_screen_itself_has_a_flag_that_has_a_key() -> None:
    left = [
        f"{path.name}: {text}"
        for path in sorted((PACKAGE / "tui").rglob("*.py"))
        for text in texts(path)
        if path.name != "launch.py" and LEFT.search(text)  # which prints when the screen is left
    ]
    assert not left, "\n".join(left)
