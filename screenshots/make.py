"""Make the screenshots again: the real program on a real PostgreSQL server with Mage's real chain.

    uv run python -m screenshots.make

The script starts a server from the test suite's wheel, runs Mage's chain to a revision that is two behind the head, and
leaves a session idle in a transaction. The app then exports its screens as SVG.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from textual.pilot import Pilot

from magetui.config.settings import Settings
from magetui.engine.target.selection import Selection
from magetui.tui.app import MagetuiApp
from magetui.tui.panes.schema import SchemaPane
from tests.support.mage import mage_directory, migrate_with_alembic
from tests.support.postgres import PostgresServer
from tests.support.waiting import eventually

HERE = Path(__file__).resolve().parent
BEHIND = "42a14d6143f1"
ROWS = """
insert into pipeline_run (pipeline_uuid, created_at) select 'daily_orders', now() from generate_series(1, 31087);
insert into block_run (block_uuid, created_at) select 'load_orders', now() from generate_series(1, 210443);
insert into "user" (username, email) select 'user' || n, 'user' || n || '@example.org' from generate_series(1, 1204) n;
insert into role (name, user_id) select 'role ' || n, 1 from generate_series(1, 6) n;
analyze;
"""


async def settled(pilot: Pilot[int], wanted: str, patience: int = 200) -> None:
    """Wait until the screen shows `wanted`, for up to `patience` steps of 50 ms. Raises `TimeoutError`."""
    for _ in range(patience):
        await pilot.pause(0.05)
        if wanted in "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips()):
            return
    shown = "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())
    raise TimeoutError(f"the screen never showed {wanted!r}:\n{shown}")


def save(app: MagetuiApp, name: str) -> None:
    """Write the app's screen, with the reader's own monospace font instead of a downloaded one."""
    svg = re.sub(r"@font-face \{.*?\}", "", app.export_screenshot(), flags=re.DOTALL)
    (HERE / name).write_text(svg.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


async def take(environment: Mapping[str, str]) -> None:
    """Drive the app and export its screens."""
    settings = Settings(Selection(mage_path=str(mage_directory())), colour=True)
    app = MagetuiApp(settings, environment)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot, "BEHIND BY 2")
        await settled(pilot, "block_run")  # the tables follow after the state
        app.main_screen.query_one(SchemaPane).rows.select("public\1user")
        await pilot.press("3")
        save(app, "main.svg")
        await pilot.press("enter")
        await settled(pilot, "ix_user_email")
        save(app, "table.svg")
        await pilot.press("escape")
        await pilot.press("l")
        await settled(pilot, "mage-server")
        save(app, "locks.svg")
        await pilot.press("escape")
        await settled(pilot, "BEHIND BY 2")
    app = MagetuiApp(settings, environment)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, "BEHIND BY 2")
        await pilot.press("b")
        await settled(pilot, "i Edit")
        await pilot.press("i", *"117f8c3b9c42", "enter")
        await settled(pilot, "526c4523d5d5")
        await settled(pilot, "ALTER TABLE")
        await settled(pilot, "To continue")
        save(app, "plan.svg")
        await pilot.press(*"mage", "enter")
        await settled(pilot, "WAITING")
        await settled(pilot, " 2.")
        save(app, "waiting.svg")
        await pilot.press("x")
        await settled(pilot, "CANCELLED")


def main() -> None:
    """Start and prepare a server, and take the screenshots."""
    with tempfile.TemporaryDirectory() as state, PostgresServer(16) as server:
        url = server.create_database("mage")
        migrate_with_alembic(url, mage_directory(), BEHIND)
        for statement in ROWS.strip().split(";\n"):
            server.execute("mage", statement.rstrip(";"))
        environment = {**os.environ, "MAGE_DATABASE_CONNECTION_URL": url, "XDG_STATE_HOME": state}
        with server.connect("mage", application_name="mage-server") as idle, idle.cursor() as cursor:
            cursor.execute("select * from role where id = 4")
            eventually(lambda: server.execute("mage", "select 1 from pg_stat_activity where state like 'idle in%'"))
            asyncio.run(take(environment))


if __name__ == "__main__":
    main()
