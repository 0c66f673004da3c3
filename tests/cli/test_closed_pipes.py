"""Output whose reader goes away, as in `magetui history | head -1`."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.support.alembic_project import AlembicProject
from tests.support.command import Magetui


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["history", "history --json", "diagnose", "plan migrate", "runs", "config", "--help", "--version"]
)
def test_a_verb_whose_reader_went_away_ends_quietly(project: AlembicProject, words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            Magetui.command("--config", project.ini, "--url", "sqlite://", *words.split()),
            stdout=writer,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == -signal.SIGPIPE  # a shell shows 141, as for grep or cat
