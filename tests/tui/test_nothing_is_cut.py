"""Warnings, notes and facts are wrapped with a hanging indent on 80 columns, however long their names are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.content import Content

from magetui.engine.preview.data_loss import Losses
from magetui.engine.preview.preflight.answers import Cause, Preflight, StepAnswer
from magetui.engine.preview.preview import Preview, StepPreview
from magetui.engine.runs.record import RunRecord, StepRecord
from magetui.model.operations import DropTable, ExecuteSql
from magetui.model.plan import Loss, Plan, PlannedStep, PlanStep, Repair, RepairStep
from magetui.model.sessions import HeldLock, LockWait, Session
from magetui.tui.widgets import run_lines
from magetui.tui.widgets.plan_lines import PlanFacts, plan_lines, step_lines
from magetui.tui.widgets.session_columns import session_table
from magetui.tui.widgets.session_detail import detail_lines
from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.tui.conftest import OpenScreen

LONG = "customer_relationship_management_event_subscription_archive_" + "x" * 3  # 63 characters, as long as may be
WIDTH = 74
DETAIL_WIDTH = 78
NOTE = (
    f"No schema shows whether this was run, and it is left out: UPDATE {LONG} SET state = 'archived' WHERE at < now()"
)
DOUBT = f"The schema does not match {LONG}. The schema matches no revision. Nearest is base, with 12 differences."
FAILS = f"the enum type {LONG} exists already"
WARNING = f"It rewrites all of {LONG}, a large table, while nobody can use it."
PROBLEM = f"Alembic cannot render it without the database: the table {LONG} is not reflected."


def complete(lines: Sequence[Content], *sentences: str, width: int = WIDTH) -> None:
    """Assert that each sentence is there word for word, and that no line is wider than the screen."""
    shown = " ".join(" ".join(line.plain for line in lines).split())
    for sentence in sentences:
        assert " ".join(sentence.split()) in shown, sentence
    assert "…" not in shown
    assert max(cell_len(line.plain) for line in lines) <= width


def test_a_plan_shows_every_warning_completely() -> None:
    operations = (DropTable(LONG, None), ExecuteSql(f"DELETE FROM {LONG}"))
    plan = Plan(
        "finish", ("a",), "b", (PlannedStep("b", "finish", f"Let {LONG} go"),), ("b",), (), "shop", "sqlite:///shop.db",
        repair=Repair("b", "b.py", tuple(map(RepairStep, operations))), notes=(NOTE,),
    )  # fmt: skip
    preview = Preview(
        (StepPreview("b", "finish", operations, None, (), (WARNING,)),),
        Losses((Loss("column", None, LONG, LONG, 30, exact=True),), (f"this SQL may remove data: DELETE FROM {LONG}",)),
        preflight=Preflight((StepAnswer("b", "finish", (Cause("fails", None, FAILS),)),)),
        doubt=DOUBT,
    )
    holders = ((4711, f"4711  {LONG}  mage-server  10.0.3.7  idle in transaction, 6 min"),)
    step = PlanStep("b", "finish", f"Let {LONG} go", None, PROBLEM)
    facts = PlanFacts(holders, preview=preview, steps=(step,))
    lines = plan_lines(plan, facts, WIDTH, lambda text: text).split("\n", allow_blank=True)
    lines += step_lines(plan, facts, 1, WIDTH, lambda text: text)
    loss = f"column {LONG}.{LONG}, set in 30 rows"
    wide = [line for line in lines if LONG not in line.plain or f"{LONG}.{LONG}" not in line.plain]
    complete(wide, NOTE, DOUBT, FAILS, WARNING, PROBLEM, "idle in transaction, 6 min", f"drops table {LONG}")
    assert loss in " ".join(" ".join(line.plain for line in lines).split())
    for start in ("  ! ", "doubt  ", "fails  ", "! "):
        first = next(index for index, line in enumerate(lines) if line.plain.startswith(start))
        assert lines[first + 1].plain.startswith(" " * len(start)), "a hanging indent"


def test_the_end_of_a_run_is_told_completely() -> None:
    error = f'relation "{LONG}" already exists. ' + "The server said more about it. " * 8
    record = RunRecord(
        3, "migrate", "b", "failed", ("a",), ("a",), steps=(StepRecord("b", "upgrade", "B", "stopped"),), error=error,
        where=f"/srv/migrations/versions/{LONG[:30]}.py, line 12",
    )  # fmt: skip
    lines = run_lines.end_lines(record, here=True, width=WIDTH, advise=lambda text: text)
    complete(lines, error, "line 12", "Current revision: a.", "next e compare the schema p plan again")


def test_a_lost_run_gets_no_older_while_it_is_looked_at() -> None:
    start = "2026-01-01T10:00:00Z"
    steps = (StepRecord("b", "upgrade", "B", "running", None, start),)
    record = RunRecord(3, "migrate", "b", "lost", ("a",), steps=steps, started=start)
    early, late = (datetime(2026, 1, day, tzinfo=timezone.utc) for day in (2, 20))
    for shown in (
        run_lines.title_line,
        lambda r, m: Content("\n").join(run_lines.body_lines(r, m, {}, width=74, height=24)),
    ):
        assert shown(record, early).plain == shown(record, late).plain
        assert "running" not in shown(record, early).plain


def test_what_a_session_waits_for_and_holds_is_shown_completely() -> None:
    root = Session(1, "mage", "mage-server", None, "idle in transaction", "SELECT 1", 5, 5,
                   holds=(HeldLock(LONG, "ACCESS SHARE"), HeldLock(LONG, "ROW EXCLUSIVE")))  # fmt: skip
    waiter = Session(2, "mage", "deploy", None, "active", "ALTER", 5, 5,
                     waits_for=LockWait(LONG, "ACCESS EXCLUSIVE"), blocked_by=(1, 7, 8, 9))  # fmt: skip
    table = session_table((root, waiter))
    complete(
        [line for row in table.rows(WIDTH) for line in row.content.split("\n")],
        "1", "idle in txn", f"{LONG} ROW EXCLUSIVE", "└─ 2", "waiting", f"{LONG} ACCESS EXCLUSIVE",
    )  # fmt: skip
    details = [line for branch in table.branches for line in detail_lines(branch, (root, waiter), DETAIL_WIDTH, 30)]
    complete(
        details, f"{LONG} (access share, row exclusive)", f"waits for access exclusive on {LONG}",
        "behind 7, 8, 9, not visible here", width=DETAIL_WIDTH,
    )  # fmt: skip


@pytest.mark.slow
def test_every_screen_of_an_unknown_revision_with_long_names_is_read_at_80_by_24(
    magetui: Magetui, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    shop = SqliteDatabase(tmp_path / f"{LONG}.db")
    create = (
        f'op.create_table("{LONG}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("{LONG}", sa.Integer))'
    )
    drop = f'op.drop_column("{LONG}", "{LONG}")'
    revisions = (Revision("rev1", None, f"Create {LONG}", create), Revision("rev2", "rev1", f"Narrow {LONG}", drop))
    project = make_project(tmp_path / "project", revisions, shop.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    shop.rows(f"INSERT INTO {LONG} VALUES (1, 1)")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 1 · next m")
    terminal.press("m")
    told = unwrapped(terminal.wait_for("This destroys data"))
    for sentence in (f"loses  column {LONG}.{LONG}, set in 1 row", f"continue, type the database's name: {LONG}.db"):
        assert unwrapped(sentence) in told, sentence
    terminal.press("escape")
    terminal.wait_for("4 Log")
    shop.rows("UPDATE alembic_version SET version_num = 'f00d12345678'")
    terminal.press("r", "2", "z")
    told = unwrapped(terminal.wait_for(r"▶ \? f00d12345678"))
    assert unwrapped("f00d12345678  is the database's current revision, and no script has it") in told
    terminal.press("z", "1")
    told = unwrapped(terminal.wait_for("unknown-revision  The database.*The schema"))
    assert unwrapped("The database is at revision f00d12345678, which the chain of 'project' does") in told
    assert unwrapped("The schema matches rev1") in told
    terminal.press("e")
    told = unwrapped(terminal.wait_for("^ Evidence.*The schema matches"))
    assert unwrapped("The schema matches rev1, and no script has the current revision f00d12345678.") in told
    assert unwrapped("s (Stamp) for rev1") in told
    terminal.press("D")
    told = unwrapped(terminal.wait_for("^ Evidence$.*This is evidence, not proof"))
    assert unwrapped(f"The schema matches rev1 (Create {LONG})") in told


def unwrapped(text: str) -> str:
    """Return a screen's text without the spaces at which its lines are wrapped."""
    return re.sub(r"\s+", "", text)
