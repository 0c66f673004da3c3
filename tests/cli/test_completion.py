"""TAB at night: the shells complete verbs, flags, revisions and runs, and a TAB runs no code of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

STARTS = {
    "bash": (["--norc", "--noprofile", "-i"], 'PS1="> "; eval "$(magetui --completion bash)"; echo rea""dy'),
    "zsh": (
        ["-f", "-i"],
        'PS1="> "; autoload -U compinit; compinit -u -D; eval "$(magetui --completion zsh)"; echo rea""dy',
    ),
    "fish": (["--no-config", "-i"], 'magetui --completion fish | source; echo rea""dy'),
}


@pytest.mark.parametrize("shell", STARTS)
def test_tab_completes_in_the_shell(shell: str, tmp_path: Path, magetui: Magetui) -> None:
    project = make_project(tmp_path / "project", linear(3), f"sqlite:///{tmp_path}/data.db")
    for file in (project.versions.parent / "env.py", *project.versions.glob("*.py")):
        file.write_text(f"{file.read_text()}\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n")
    program = shutil.which(shell)
    assert program, f"{shell} is not installed: .ci/run installs it"
    options, start = STARTS[shell]
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "magetui").write_text(f'#!/bin/sh\n# PYTHON_ARGCOMPLETE_OK\nexec {sys.executable} -m magetui "$@"\n')
    (bin_folder / "magetui").chmod(0o755)
    env = {"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(tmp_path), "SHELL": program}
    with Terminal([program, *options], (120, 30), env=env, cwd=project.ini.parent) as terminal:
        terminal.press(*start, "enter")
        terminal.wait_for("^ready", 30)
        for typed, completed in (
            ("magetui diag", "magetui diagnose"),
            ("magetui stamp re", "magetui stamp rev"),
            ("magetui migrate --on-disconnect can", "magetui migrate --on-disconnect cancel"),
            ("magetui --th", "magetui --theme"),
        ):
            terminal.press(*typed, "tab")
            terminal.wait_for(rf"{completed}", 30)
            terminal.press("ctrl+u")
    assert not (tmp_path / "ran").exists()  # no code of the project


def test_a_tab_says_nothing_of_a_broken_project_or_file(tmp_path: Path, own: Path) -> None:
    own.write_text("no = toml = at all")
    assert set(_answer("magetui --config missing.ini stamp ", tmp_path, tmp_path).split("\n")) >= {"head", "base"}


def _answer(line: str, folder: Path, project: Path) -> str:
    """Ask as fish does, with descriptions, and return the answer. The program prints nothing else."""
    answer = folder / "answer"
    asked = {
        **{"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"},
        **{"_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)},
        **({} if project == folder else {"_ARGCOMPLETE_DFS": "\t", "_ARGCOMPLETE_SHELL": "fish"}),
    }
    done = subprocess.run(
        [sys.executable, "-m", "magetui"],
        env={**os.environ, **asked, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return answer.read_text()


def test_a_tab_shows_no_credential_and_offers_nothing_that_a_shell_would_run(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", linear(2), f"sqlite:///{tmp_path}/data.db")
    evil = "x$(touch ran)"
    (project.versions / "evil.py").write_text(f"revision = {evil!r}\ndown_revision = 'rev2'\n")
    (first,) = (path for path in project.versions.glob("*.py") if "rev1" in path.stem)
    message = "Moves to postgresql://mage:verysecret-1@db1/mage \\x1b[31m"
    text = first.read_text()
    first.write_text(f'"""{message}"""\n{text[text.index("from alembic") :]}')
    answer = _answer("magetui stamp ", tmp_path, project.ini.parent)
    assert "rev1" in answer and "rev2" in answer
    assert "verysecret-1" not in answer and "touch" not in answer and "\x1b" not in answer
