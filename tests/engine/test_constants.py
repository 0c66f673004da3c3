"""Headers that name a constant of the repository: read as Python would have it, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from magetui.engine.revisions.graph import read_chain
from magetui.engine.revisions.headers import ChainProblem, Revision, read_script


def test_constants_of_the_repository_are_followed_without_an_import(tmp_path: Path) -> None:
    """OpenStack's style: `cli.EXPAND_BRANCH` of the package that the scripts lie in."""
    package = tmp_path / "stack" / "db"
    versions = package / "migration" / "versions"
    versions.mkdir(parents=True)
    for folder in (package.parent, package, package / "migration"):
        (folder / "__init__.py").write_text("")
    (package / "migration" / "env.py").write_text("")
    (package / "names.py").write_text('EXPAND = "expand"\nFIRST = "a1"\n')
    (package / "cli.py").write_text("from stack.db.names import EXPAND as EXPAND_BRANCH, FIRST\n")
    (versions / "a1.py").write_text(
        "from stack.db import cli\nrevision = 'a1'\ndown_revision = None\nbranch_labels = (cli.EXPAND_BRANCH,)\n"
    )
    (versions / "b1.py").write_text("from ...names import FIRST\nrevision = 'b1'\ndown_revision = FIRST\n")
    (versions / "c1.py").write_text(
        "import stack.db.names as names\nrevision = 'c1'\ndown_revision = 'b1'\ndepends_on = [names.FIRST]\n"
    )
    chain = read_chain([versions])
    assert not chain.problems
    assert [(one.revision, one.parents, one.branch_labels) for one in reversed(chain.revisions)] == [
        ("a1", (), ("expand",)),
        ("b1", ("a1",), ()),
        ("c1", ("b1", "a1"), ()),
    ]


@pytest.mark.parametrize(
    "constants",
    [
        'FIRST = "a1"\nif True:\n    FIRST = "b1"\n',
        'FIRST = "a1"\nFIRST = "b1"\n',
        'FIRST = "b"\nFIRST += "1"\n',
        'FIRST = "a1"\ntry:\n    FIRST = "b1"\nfinally:\n    pass\n',
        'FIRST = "a1"\nfor FIRST in ("a1", "b1"):\n    pass\n',
        'from stack.more import *\nFIRST = "b1"\n',
    ],
)
def test_a_constant_that_is_set_more_than_once_is_not_guessed(constants: str, tmp_path: Path) -> None:
    package = tmp_path / "stack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "more.py").write_text("")
    (package / "names.py").write_text(constants)
    script = package / "c1.py"
    script.write_text("from stack.names import FIRST\nrevision = 'c1'\ndown_revision = FIRST\n")
    printed = subprocess.run(
        [sys.executable, "-c", "from stack.c1 import down_revision; print(down_revision)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "b1\n"  # a guess of the first value would be wrong
    read = read_script(script)
    assert is_unknown(read)


def is_unknown(read: Revision | ChainProblem) -> bool:
    return isinstance(read, Revision) and (read.down_revisions, read.computed) == ((), ("down_revision",))


def test_a_name_of_the_script_that_changes_is_not_guessed(tmp_path: Path) -> None:
    script = tmp_path / "b1.py"
    script.write_text("BEFORE = 'a1'\nrevision = 'b1'\ndown_revision = BEFORE\nBEFORE = 'z9'\n")
    assert is_unknown(read_script(script))


def test_a_module_that_two_folders_have_is_not_guessed(tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    for folder, first in ((tmp_path, "a1"), (versions, "b1")):
        (folder / "names.py").write_text(f'FIRST = "{first}"\n')
    script = versions / "c1.py"
    script.write_text("from names import FIRST\nrevision = 'c1'\ndown_revision = FIRST\n")
    assert is_unknown(read_script(script))
