"""Keys pressed in the first second, while the engine is still being loaded: a slow disk, a hurried operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.conftest import OpenScreen

pytestmark = pytest.mark.slow

# SQLAlchemy is known to be there some time before it can be read, as on a busy disk.
SLOW_DISK = """
import sys, time
from importlib.machinery import PathFinder

class SlowDisk:
    def find_spec(self, name, path=None, target=None):
        if name != "sqlalchemy":
            return None
        spec = PathFinder.find_spec(name, path, target)
        read = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (time.sleep(2), read(module))
        return spec

sys.meta_path.insert(0, SlowDisk())
"""


@pytest.fixture
def slow_disk(tmp_path: Path) -> str:
    """A folder for PYTHONPATH with which the program's libraries load slowly."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW_DISK)
    return str(folder)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("B", r"Write the backup\?   enter: yes"),
        ("l", "Locks +0 sessions"),
        ("c", "Connect"),
        ("p", "There is nothing to do"),
        ("e", "^ Evidence"),
        ("v", "^ Verify"),
        ("?", "Help"),
    ],
)
def test_a_key_pressed_before_the_engine_is_loaded_is_answered(
    key: str, shown: str, mage_sqlite_url: str, open_screen: OpenScreen, slow_disk: str
) -> None:
    terminal = open_screen(mage_sqlite_url, until="4 Log", PYTHONPATH=slow_disk)
    terminal.press(key)
    terminal.wait_for(shown)
    terminal.press("escape")
    terminal.wait_for("UP TO DATE")


def test_leaving_before_the_engine_is_loaded_leaves_cleanly(
    mage_sqlite_url: str, open_screen: OpenScreen, slow_disk: str
) -> None:
    terminal = open_screen(mage_sqlite_url, until="4 Log", PYTHONPATH=slow_disk)
    terminal.press("q")
    assert terminal.wait_exit() == 0
    assert "Error" not in terminal.screen()
