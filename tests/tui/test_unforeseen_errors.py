"""An error that nobody foresaw, in a thread that a screen started: by Textual's pilot, no terminal brings it about."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from magetui.config.settings import Settings
from magetui.engine import plan
from magetui.engine.target.selection import Selection
from magetui.tui.app import MagetuiApp
from tests.support.alembic_project import linear, make_project
from tests.support.waiting import PAUSE


@pytest.mark.slow
def test_an_unforeseen_error_while_planning_is_said_and_the_screen_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("nobody thought of this")

    monkeypatch.setattr(plan, "make_plan", broken)
    url = f"sqlite:///{tmp_path / 'app.db'}"
    project = make_project(tmp_path / "project", linear(2), url)
    app = MagetuiApp(
        Settings(Selection(config=str(project.ini), trust=True)), {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    )

    async def told() -> str:
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await pilot.press("m")
            deadline = time.monotonic() + 60  # the engine is imported first, which a busy machine takes long for
            while time.monotonic() < deadline:
                await pilot.pause(PAUSE)
                shown = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
                if "ValueError in _make_plan" in shown:
                    break
            await pilot.press("escape")
            return shown

    assert "ValueError in _make_plan" in asyncio.run(told())
