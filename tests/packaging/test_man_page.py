"""The man page says what the verbs take, and a terminal renders it without a complaint."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from docs.man import PAGE, page
from magetui.verbs import VERBS


def test_the_man_page_is_the_one_of_the_verbs() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: uv run python -m docs.man"


@pytest.mark.slow
def test_the_man_page_is_rendered_with_every_verb_and_flag() -> None:
    groff = shutil.which("groff")
    assert groff, "groff is not installed: .ci/run installs it"
    done = subprocess.run(
        [groff, "-man", "-ww", "-Tascii", "-P-cbou", str(PAGE)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    for verb in VERBS:
        assert f"   {verb.name}" in done.stdout
        for parameter in verb.parameters:
            assert f"       {parameter.name}" in done.stdout, parameter.name
