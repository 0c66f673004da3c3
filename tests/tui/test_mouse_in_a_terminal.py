"""The mouse does what the keys do: it opens a folded pane, and presses a key of the last line."""

from __future__ import annotations

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.mage import HEAD
from tests.support.terminal import Terminal
from tests.tui.conftest import OpenScreen

pytestmark = pytest.mark.slow


def click(terminal: Terminal, text: str) -> None:
    """Click on the first place of the screen that shows `text`, as xterm reports it (SGR mouse mode, 1006)."""
    lines = terminal.wait_for(text).splitlines()
    y, line = next((y, line) for y, line in enumerate(lines, 1) if text in line)
    x = line.index(text) + 2
    terminal.press(f"\x1b[<0;{x};{y}M", f"\x1b[<0;{x};{y}m")


def test_a_click_opens_a_folded_pane_and_presses_a_key_of_the_last_line(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    terminal = open_screen(mage.url, until=rf"▶ ● {HEAD}")
    click(terminal, "4 Log")
    terminal.wait_for("━4 Log")
    click(terminal, "3 Schema")
    terminal.wait_for("━ 3 Schema")
    click(terminal, "b Roll back")
    terminal.wait_for("^ Roll back .*DROP TABLE generic_job")
