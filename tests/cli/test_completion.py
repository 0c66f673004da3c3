"""TAB at night: the shells complete verbs, flags, revisions and runs, and a TAB runs no code of the project."""

from __future__ import annotations

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
    (tmp_path / "project" / "env_ran").unlink(missing_ok=True)
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


def test_a_tab_says_nothing_of_a_broken_project_or_file(tmp_path: Path, own: Path) -> None:
    own.write_text("no = toml = at all")
    line = "magetui --config missing.ini stamp "
    asked = {
        **{"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"},
        **{"_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer")},
    }
    import os

    done = subprocess.run(
        [sys.executable, "-m", "magetui"],
        env={**os.environ, **asked, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set((tmp_path / "answer").read_text().split("\n")) >= {"head", "base"}
