"""Scripts whose header is an expression: only what is computed is unknown, and the child is asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from magetui.engine.errors import ChainError
from magetui.engine.project.trust import ProjectCode
from magetui.engine.revisions.graph import Chain, read_chain
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase

Graph = dict[str, tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]]
LABELS = "branch_labels = None"


def project_with(directory: Path, changes: dict[str, tuple[str, str]], url: str = "sqlite://") -> AlembicProject:
    """A project of four revisions. In the script of a revision, the first text is replaced by the second."""
    project = make_project(directory, linear(4), url)
    for revision, (old, new) in changes.items():
        [script] = project.versions.glob(f"{revision}_*")
        assert old in script.read_text()
        script.write_text(script.read_text().replace(old, new))
    return project


def of_alembic(project: AlembicProject) -> Graph:
    """The graph as Alembic itself loads it: parents, dependencies, and the labels that a script declares."""
    scripts = ScriptDirectory.from_config(Config(project.ini)).walk_revisions()
    return {
        script.revision: (
            tuple(script._versioned_down_revisions),
            tuple(script._resolved_dependencies),
            frozenset(script._orig_branch_labels),
        )
        for script in scripts
    }


def of_ours(chain: Chain) -> Graph:
    return {
        r.revision: (
            r.down_revisions,
            tuple(d for d in r.depends_on if d not in r.down_revisions),
            frozenset(r.branch_labels),
        )
        for r in chain.revisions
    }


LITERAL = {
    "a constant of the script": {"rev3": ("down_revision = 'rev2'", "BEFORE = 'rev2'\ndown_revision = BEFORE")},
    "a constant of a constant": {"rev2": (LABELS, "A = ('one',)\nB = A\nbranch_labels = B")},
    "a module of the project": {"rev2": (LABELS, "import names\nbranch_labels = (names.EXPAND,)")},
    "a module below another": {"rev2": (LABELS, "import pack.deep\nbranch_labels = [pack.deep.EXPAND]")},
    "an imported name": {"rev3": ("down_revision = 'rev2'", "from names import SECOND as down_revision")},
    "a list of names": {"rev4": ("down_revision = 'rev3'", "from names import THIRD\ndown_revision = [THIRD]")},
    "a name that its module builds from another": {"rev2": (LABELS, "from names import BOTH\nbranch_labels = BOTH")},
}


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the project, in which modules have constants, and which Alembic puts first on sys.path."""
    folder = tmp_path / "project"
    (folder / "pack").mkdir(parents=True)
    (folder / "names.py").write_text(
        "SECOND = 'rev2'\nTHIRD = 'rev3'\nEXPAND = 'expand'\nBOTH = (EXPAND, 'contract')\n"
    )
    (folder / "pack" / "__init__.py").write_text("")
    (folder / "pack" / "deep.py").write_text("from names import EXPAND\n")
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.parametrize("style", LITERAL)
def test_literals_of_the_repository_give_the_graph_that_alembic_loads(names: Path, style: str) -> None:
    project = project_with(names, LITERAL[style])
    chain = read_chain([project.versions], (names,))
    assert not chain.problems
    assert not chain.computed
    assert of_ours(chain) == of_alembic(project)


COMPUTED = {
    "joined texts": {"rev3": ("down_revision = 'rev2'", "down_revision = 'rev' + str(2)")},
    "a condition": {
        "rev3": (
            "down_revision = 'rev2'",
            "import os\nif os.sep:\n    down_revision = 'rev2'\nelse:\n    down_revision = 'rev1'",
        )
    },
    "an attempt": {
        "rev3": (
            "down_revision = 'rev2'",
            "try:\n    from no_such import down_revision\nexcept ImportError:\n    down_revision = 'rev2'",
        )
    },
    "two at once": {
        "rev3": ("revision = 'rev3'\ndown_revision = 'rev2'", "revision, down_revision = 'rev3 rev2'.split()")
    },
    "a constant that changes": {"rev3": ("down_revision = 'rev2'", "A = 'rev2'\ndown_revision = A\nA = 'rev1'")},
    "an addition": {"rev4": ("depends_on = None", "depends_on = ('rev2',)\ndepends_on += ('rev1',)")},
    "its own id": {"rev2": ("revision = 'rev2'", "revision = ''.join(['rev', '2'])")},
    "everything of a module": {
        "rev4": (
            "revision = 'rev4'",
            "from names_of_four import *",
        )
    },
    "an enumeration": {
        "rev2": (LABELS, "import enum\nclass B(enum.Enum):\n    X = 'expand'\nbranch_labels = (B.X.value,)")
    },
    "labels of a call": {"rev2": (LABELS, "branch_labels = tuple(name for name in ['expand'])")},
}


@pytest.mark.slow
@pytest.mark.parametrize("style", COMPUTED)
def test_the_child_tells_a_computed_header_as_alembic_loads_it(names: Path, style: str) -> None:
    (names / "names_of_four.py").write_text("globals().update(revision='rev4')\n")
    project = project_with(names, COMPUTED[style])
    unasked = read_chain([project.versions], (names,))
    assert [path.name.partition("_")[0] for path in unasked.computed] == list(COMPUTED[style])
    ini = project.ini.read_text().replace("[alembic]", "[alembic]\nprepend_sys_path = %(here)s", 1)
    project.ini.write_text(ini)
    chain = Workspace(Selection(config=str(project.ini), trust=True)).chain
    assert not chain.problems
    assert not chain.computed
    assert of_ours(chain) == of_alembic(project)


def test_only_the_computed_header_is_unknown_while_nobody_trusts_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAGETUI_TRUST")
    ran = tmp_path / "ran"
    project = project_with(
        tmp_path / "project",
        {"rev3": ("down_revision = 'rev2'", f"open({str(ran)!r}, 'w')\ndown_revision = 'rev' + '2'")},
    )
    chain = Workspace(Selection(config=str(project.ini))).chain
    assert not ran.exists()
    assert {r.revision: (r.parents, r.computed) for r in chain.revisions} == {
        "rev1": ((), ()),
        "rev2": (("rev1",), ()),
        "rev3": ((), ("down_revision",)),
        "rev4": (("rev3",), ()),
    }
    assert chain.heads == ()  # which of them is followed by rev3 is not known
    [problem] = chain.problems
    assert (problem.code, problem.revisions) == ("unreadable-script", ("rev3",))
    with pytest.raises(
        ChainError, match=r"rev3_create_t3\.py computes its down_revision.*before you trust the project"
    ):
        chain.upgrade_steps((), "heads")


def test_computed_labels_leave_the_graph_complete_and_cost_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAGETUI_TRUST")
    project = project_with(tmp_path / "project", dict.fromkeys(("rev1", "rev2"), (LABELS, "branch_labels = (make(),)")))
    asked: list[ProjectCode] = []

    def ask(code: ProjectCode) -> bool:
        asked.append(code)
        return True

    chain = Workspace(Selection(config=str(project.ini)), ask_trust=ask).chain
    assert (asked, chain.problems, chain.heads) == ([], (), ("rev4",))
    assert [step.revision for step in chain.upgrade_steps((), "heads")] == ["rev1", "rev2", "rev3", "rev4"]
    assert chain.by_id["rev2"].computed == ("branch_labels",)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("import no_such_module", "failed: ModuleNotFoundError: No module named 'no_such_module'."),
        ("open('written', 'w')", "failed: it would write 'written' (rev3_create_t3.py, line 12)."),
        ("raise SystemExit(1)", "failed: SystemExit: 1."),
    ],
)
def test_a_script_that_cannot_be_run_is_named_with_its_error(tmp_path: Path, does: str, said: str) -> None:
    changed = ("down_revision = 'rev2'", f"{does}\ndown_revision = 'rev' + '2'")
    project = project_with(tmp_path / "project", {"rev3": changed})
    chain = Workspace(Selection(config=str(project.ini), trust=True)).chain
    [problem] = chain.problems
    assert problem.message == f"rev3_create_t3.py computes its down_revision, and running the script to read it {said}"
    assert "--python" in problem.advice
    assert [r.revision for r in chain.revisions if not r.computed] != []
    assert not (project.directory / "written").exists()


def test_a_chain_with_a_computed_parent_is_migrated_and_listed(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    changed = ("down_revision = 'rev2'", "down_revision = 'rev' + '2'")
    project = project_with(tmp_path / "project", {"rev3": changed}, sqlite_database.url)
    done = magetui("--config", project.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert sqlite_database.current == ["rev4"]
    assert magetui("--config", project.ini, "rollback", "--revision", "-2", "--yes").status == 0
    assert sqlite_database.current == ["rev2"]
    told = magetui("--config", project.ini, "diagnose", "--json").json
    assert (told["heads"], told["pending"]) == (["rev4"], ["rev3", "rev4"])
    unasked = magetui("--config", project.ini, "history", env={"MAGETUI_TRUST": "0"})
    assert "(computed: down_revision)" in unasked.stdout, unasked
    assert "trust the project" not in magetui("--config", project.ini, "history").stdout
