"""What revisions do is asked of their code once, and again when a script has changed."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from magetui.engine.evidence.recording import record_revisions
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import AddColumn, CreateTable
from magetui.model.plan import PlannedStep
from magetui.protocol.requests import RecordRequest, RenderRequest
from magetui.runner.barrier import SECONDS
from tests.support.alembic_project import Revision, make_project

TABLE = 'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True))'
COLUMN = 'op.add_column("item", sa.Column("note", sa.Text))'


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))


def a_workspace(tmp_path: Path, *revisions: Revision) -> Workspace:
    project = make_project(tmp_path / "project", list(revisions), f"sqlite:///{tmp_path / 'data.db'}")
    return Workspace(Selection(config=str(project.ini), trust=True))


@pytest.mark.slow
def test_scripts_that_did_not_change_are_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = a_workspace(tmp_path, Revision("rev1", None, "One", TABLE), Revision("rev2", "rev1", "Two", COLUMN))
    made = record_revisions(workspace, ["rev1", "rev2"])
    assert isinstance(made["rev1"].upgrade.operations[0], CreateTable)
    kept = list((tmp_path / "home" / "cache" / "magetui" / "operations").iterdir())
    assert [stat.S_IMODE(file.stat().st_mode) for file in kept] == [0o600]

    asked: list[tuple[str, ...]] = []
    ask = Workspace.ask

    def ask_noted(workspace: Workspace, request: RecordRequest, doing: str) -> Any:
        asked.append(request.revisions)
        return ask(workspace, request, doing)

    monkeypatch.setattr(Workspace, "ask", ask_noted)
    assert record_revisions(workspace, ["rev1", "rev2"]) == made
    script = workspace.chain.by_id["rev2"].path
    script.write_text(script.read_text().replace('"note"', '"remark"'))
    [column] = record_revisions(workspace, ["rev1", "rev2"])["rev2"].operations("upgrade")
    assert isinstance(column, AddColumn)
    assert column.column.name == "remark"
    assert asked == [("rev2",)]


@pytest.mark.slow
def test_kept_answer_that_was_cut_short_is_asked_for_anew(tmp_path: Path) -> None:
    workspace = a_workspace(tmp_path, Revision("rev1", None, "One", TABLE))
    made = record_revisions(workspace, ["rev1"])
    [kept] = (tmp_path / "home" / "cache" / "magetui" / "operations").iterdir()
    kept.write_text(kept.read_text()[:20])
    assert record_revisions(workspace, ["rev1"]) == made


@pytest.mark.slow
def test_script_that_cannot_be_imported_says_so_and_leaves_the_others_known(tmp_path: Path) -> None:
    workspace = a_workspace(tmp_path, Revision("rev1", None, "One", TABLE), Revision("rev2", "rev1", "Two", COLUMN))
    script = workspace.chain.by_id["rev1"].path
    script.write_text("import is_not_installed\n" + script.read_text())
    made = record_revisions(workspace, ["rev1", "rev2"])
    why = "it cannot be imported: ModuleNotFoundError: No module named 'is_not_installed'"
    assert (made["rev1"].upgrade.undecidable, made["rev1"].downgrade.undecidable) == (why, why)
    assert isinstance(made["rev2"].upgrade.operations[0], AddColumn)

    script.write_text(script.read_text().replace("import is_not_installed", ""))
    assert record_revisions(workspace, ["rev1"])["rev1"].upgrade.undecidable is None


OPENS_NULL_DEVICE = """\
import io, os, tempfile, _pyio

FOLDER = tempfile.gettempdir()

TYPES = [type(opening(os.devnull, mode)) for opening in (open, io.open, _pyio.open) for mode in ("rb+", "wb", "a")]
try:
    open("written.txt", "w")
    raise AssertionError("a file was opened")
except PermissionError:
    pass
"""


@pytest.mark.slow
def test_script_whose_module_opens_the_null_device_and_asks_for_the_temporary_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As dill does, and Airflow."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "pickles.py").write_text(OPENS_NULL_DEVICE)
    monkeypatch.setenv("PYTHONPATH", str(modules))
    workspace = a_workspace(tmp_path, Revision("rev1", None, "One", TABLE))
    workspace.chain.by_id["rev1"].path.write_text("import pickles\n" + workspace.chain.by_id["rev1"].path.read_text())
    [operation] = record_revisions(workspace, ["rev1"])["rev1"].operations("upgrade")
    assert isinstance(operation, CreateTable)
    step = PlannedStep("rev1", "upgrade", "One")
    [rendered] = workspace.ask(RenderRequest(workspace.project.scripts, "sqlite", (step,)), "render")
    assert rendered["problem"] is None
    assert "CREATE TABLE item" in rendered["sql"]


@pytest.mark.slow
def test_script_whose_application_takes_long_to_import_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "large_application.py").write_text(f"import time\ntime.sleep({SECONDS + 1})\n")
    monkeypatch.setenv("PYTHONPATH", str(modules))
    workspace = a_workspace(tmp_path, Revision("rev1", None, "One", TABLE))
    script = workspace.chain.by_id["rev1"].path
    script.write_text("import large_application\n" + script.read_text())
    [operation] = record_revisions(workspace, ["rev1"])["rev1"].operations("upgrade")
    assert isinstance(operation, CreateTable)
