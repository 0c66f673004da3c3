"""The documents stay true: their commands are accepted, and the recipes say what `explain` says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from magetui.cli.arguments import parser
from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.mage import CHECKOUT

FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?(?:[^|\n]*\| )?(magetui(?: .*)?)$", re.MULTILINE)
RECIPE = re.compile(r"^\| `(?P<log>.+?)` \| `.+?` \| `magetui (?P<verb>\w+)` \|$", re.MULTILINE)
JSON_ROW = re.compile(r"^\| `([\w -]+)` \| (`.+?`) \| ", re.MULTILINE)
DOCUMENTS = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
STANDS_FOR_SOMETHING = ("…", "...", "VERB")


def commands(document: Path) -> list[str]:
    """Return the command lines of a document's fenced blocks, without comments and what follows a pipe."""
    fenced = "\n".join(FENCE.findall(document.read_text(encoding="utf-8")))
    found = (line.partition("  #")[0].partition(" |")[0].strip() for line in COMMAND.findall(fenced))
    return [line for line in found if not any(word in line for word in STANDS_FOR_SOMETHING)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_in_a_document_is_one_that_the_program_takes(document: Path) -> None:
    for line in commands(document):
        words = shlex.split(line)[1:]
        parser(words).parse_args(words)  # leaves with status 2 and a sentence if it is not


def test_the_recipes_say_what_explain_says(magetui: Magetui) -> None:
    recipes = RECIPE.findall((CHECKOUT / "docs" / "recipes.md").read_text(encoding="utf-8"))
    assert len(recipes) > 10
    for log, verb in recipes:
        explained = magetui("explain", stdin=f"sqlalchemy.exc.OperationalError: {log}\n")
        assert f"Next: magetui {verb}" in explained.stdout.splitlines(), log


def test_the_reference_of_the_json_documents_has_the_keys_that_the_verbs_print(
    magetui: Magetui, sqlite_database: SqliteDatabase, own: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    env = project.directory / "migrations" / "env.py"
    models = env.read_text().replace("import engine_from_config", "import MetaData, engine_from_config")
    env.write_text(models.replace("configure(connection=", "configure(target_metadata=MetaData(), connection="))
    own.write_text(f'[targets.shop]\nurl = "{sqlite_database.url}"\nconfig = "{project.ini}"\n')
    text = (CHECKOUT / "docs" / "json.md").read_text(encoding="utf-8")
    documented = {verb: re.findall(r"`(\w+)`", keys) for verb, keys in JSON_ROW.findall(text)}
    typed = {"plan": "plan migrate", "migrate": "migrate --yes", "evidence": "evidence", "demo": "demo behind"}
    # `migrate` comes first: the others have something to say then.
    for verb in sorted(documented, key=lambda verb: verb != "migrate"):
        words = typed.get(verb, verb).split()
        place = [] if "--all" in words else ["--config", project.ini]
        printed = magetui(*place, *words, "--json")
        assert ["format", *documented[verb]] == list(printed.json), verb
