"""The help of the command line, and what it answers to a word that it does not know."""

from __future__ import annotations

import shlex

import pytest

from magetui.cli.arguments import parser
from magetui.verbs import VERBS, Verb
from tests.support.command import Magetui

FRAMEWORK = ("positional arguments", "options:", "show program's version", "this help message and exit")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_example_in_the_help_is_a_command_that_magetui_takes(verb: Verb) -> None:
    for example in verb.examples:
        program, *words = shlex.split(example.rpartition("| ")[2])
        assert program == "magetui"
        values = vars(parser(words).parse_args(words))
        assert verb.name in (values["verb_name"], values.get("verb"))


@pytest.mark.parametrize("verb", ["plan", "rollback", "history", "demo"])
def test_help_of_a_verb_shows_its_own_flags_first_and_examples_at_the_end(magetui: Magetui, verb: str) -> None:
    [known] = [known for known in VERBS if known.name == verb]
    done = magetui(verb, "--help")
    assert done.status == 0, done
    own = [done.stdout.index(f"\n  {parameter.name}") for parameter in known.parameters]
    assert max(own) < done.stdout.index("flags of every verb:") < done.stdout.index("\nexample")
    assert [line.strip() for line in done.stdout.splitlines()][-len(known.examples) :] == list(known.examples)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert len(lines) == len(set(lines)), done
    assert not any(words in done.stdout for words in FRAMEWORK), done


def test_help_without_a_verb_names_every_verb_once(magetui: Magetui) -> None:
    done = magetui("--help")
    assert done.status == 0, done
    for verb in VERBS:
        assert done.stdout.count(f"\n    {verb.name} ") == 1, verb.name
    assert not any(words in done.stdout for words in FRAMEWORK), done


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("migarte", "there is no such verb; did you mean 'migrate'?"),
        ("xyzzy", "there is no such verb."),
        ("demo lockd", "SCENARIO must be behind, unknown-revision, half-applied or locked; did you mean 'locked'?"),
        ("migrate --revison x", "there is no flag --revison; did you mean '--revision'?"),
        ("diagnose --graph", "this verb does not take --graph."),
        ("diagnose extra", "these are more arguments than the verb takes."),
        ("stamp", "'magetui stamp' needs R."),
        ("locks --cancel x", "--cancel must be a number."),
        ("runs x", "ID must be a number."),
        ("migrate --revision", "--revision needs a value."),
        ("migrate --on-disconnect x", "--on-disconnect must be continue or cancel."),
    ],
)
def test_a_mistyped_word_is_answered_in_one_line(magetui: Magetui, words: str, answer: str) -> None:
    done = magetui(*words.split())
    assert done.status == 2, done
    assert done.stderr == f"magetui: {answer} 'magetui --help' lists the verbs and flags.\n"
