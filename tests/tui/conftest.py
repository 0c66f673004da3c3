"""The full-screen program on a terminal of its own, with Mage's chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.command import Magetui
from tests.terminal import Terminal

OpenScreen = Callable[..., Terminal]


@pytest.fixture
def open_screen(mage_home: Path, tmp_path: Path) -> Iterator[OpenScreen]:
    """Opens the program on a database's URL; what still runs at the test's end is ended."""
    with ExitStack() as opened:

        def open_screen(url: str, *arguments: str, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
            command = Magetui.command("--mage-path", mage_home, *arguments)
            terminal = Terminal(command, size, {"MAGE_DATABASE_CONNECTION_URL": url, **env}, tmp_path)
            return opened.enter_context(terminal)

        yield open_screen
