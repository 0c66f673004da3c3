"""The chain as Alembic would have it, read from scripts that are never run, and what is wrong with others."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from magetui.engine.errors import ChainError, RevisionError
from magetui.engine.revisions.graph import Chain, read_chain
from magetui.engine.revisions.steps import rollback_steps
from tests.support import alembic_project
from tests.support.alembic_project import Revision, make_project


def chain_of(directory: Path, revisions: Sequence[Revision]) -> Chain:
    return read_chain([make_project(directory / "project", revisions, "sqlite://").versions])


def upgrade(chain: Chain, current: Sequence[str], target: str = "heads") -> list[str]:
    return [step.revision for step in chain.upgrade_steps(current, target)]


def downgrade(chain: Chain, current: Sequence[str], target: str = "base") -> list[str]:
    return [step.revision for step in chain.downgrade_steps(current, target)]


def named(id: str, down: str | tuple[str, ...] | None, **more: object) -> Revision:
    return Revision(id=id, down=down, message=f"About {id}", **more)  # type: ignore[arg-type]


@pytest.fixture
def hexadecimal(tmp_path: Path) -> Chain:
    """Ids that look like Alembic's own: ab12cd34 <- ab98fe76 <- c0ffee00, the last one labelled."""
    return chain_of(
        tmp_path,
        [
            named("ab12cd34", None),
            named("ab98fe76", "ab12cd34"),
            named("c0ffee00", "ab98fe76", branch_labels=("orders",)),
        ],
    )


@pytest.fixture
def branched(tmp_path: Path) -> Chain:
    """root <- left1 <- left2 and root <- right1, merged by top."""
    return chain_of(
        tmp_path,
        [
            named("root", None),
            named("left1", "root", created="2024-05-02 12:00:00"),
            named("left2", "left1", created="2024-05-03 12:00:00"),
            named("right1", "root", created="2024-05-04 12:00:00"),
            named("top", ("left2", "right1"), created="2024-05-05 12:00:00"),
        ],
    )


# -- naming a revision


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("ab12cd34", "ab12cd34"),
        ("ab12", "ab12cd34"),
        ("c", "c0ffee00"),
        ("orders", "c0ffee00"),
        ("head", "c0ffee00"),
        ("heads", "c0ffee00"),
        ("base", "base"),
    ],
)
def test_a_revision_goes_by_its_id_a_part_of_it_or_a_label(hexadecimal: Chain, wanted: str, found: str) -> None:
    assert hexadecimal.resolve(wanted) == found


def test_a_part_that_several_ids_begin_with_names_them(hexadecimal: Chain) -> None:
    with pytest.raises(RevisionError, match=r"start with 'ab': ab12cd34, ab98fe76\. Give more of the id\.") as raised:
        hexadecimal.resolve("ab")
    assert raised.value.candidates == ("ab12cd34", "ab98fe76")


@pytest.mark.parametrize("wanted", ["ffff", "HEAD~1", "", " ", "rder", "ab12cd345"])
def test_a_revision_that_does_not_exist_is_told(hexadecimal: Chain, wanted: str) -> None:
    with pytest.raises(RevisionError):
        hexadecimal.resolve(wanted)


def test_head_says_too_little_where_there_are_two(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, alembic_project.two_heads())
    assert [problem.code for problem in chain.problems] == ["several-heads"]
    assert not chain.broken
    with pytest.raises(RevisionError, match="'head' is ambiguous") as raised:
        chain.resolve("head")
    assert sorted(raised.value.candidates) == ["rev2", "rev3"]
    assert chain.resolve("rev2") == "rev2"
    assert sorted(upgrade(chain, ["rev1"])) == ["rev2", "rev3"]


# -- counting


def test_counting_back_from_the_current_revision(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, alembic_project.linear(3))
    assert [chain.downgrade_target(["rev3"], count).expression for count in ("-1", "-2", "-3")] == [
        *("rev2", "rev1", "base")
    ]
    with pytest.raises(RevisionError, match=r"'-4' goes further back than the chain: 3 steps lead to its base\."):
        chain.downgrade_target(["rev3"], "-4")
    with pytest.raises(RevisionError, match="needs exactly one current revision, but there are 2"):
        rollback_steps(chain, ("rev2", "rev3"), "-1")


def test_counting_forward_from_the_current_revision(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, alembic_project.linear(3))
    assert [chain.upgrade_target(["rev1"], count) for count in ("+1", "+2")] == ["rev2", "rev3"]
    assert chain.upgrade_target([], "+1") == "rev1"
    with pytest.raises(RevisionError, match=r"'\+3' goes beyond the head, which is 2 away\."):
        chain.upgrade_target(["rev1"], "+3")


def test_counting_back_over_a_merge_wants_a_name(branched: Chain) -> None:
    with pytest.raises(RevisionError, match="crosses a merge of left2, right1"):
        branched.downgrade_target(["top"], "-1")


# -- steps


def test_steps_run_parents_first_and_back_children_first(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, alembic_project.linear(4))
    assert upgrade(chain, []) == ["rev1", "rev2", "rev3", "rev4"]
    assert upgrade(chain, ["rev2"], "rev3") == ["rev3"]
    assert upgrade(chain, ["rev4"]) == []
    assert downgrade(chain, ["rev4"], "rev2") == ["rev4", "rev3"]
    assert downgrade(chain, ["rev2"]) == ["rev2", "rev1"]
    assert [step.message for step in chain.upgrade_steps(["rev3"], "heads")] == ["Create t4"]


def test_a_merge_waits_for_both_of_its_parents(branched: Chain) -> None:
    steps = upgrade(branched, [])
    assert steps[0] == "root"
    assert steps[-1] == "top"
    assert steps.index("left1") < steps.index("left2")
    assert sorted(upgrade(branched, ["left2"])) == ["right1", "top"]
    assert upgrade(branched, ["left2", "right1"]) == ["top"]
    assert branched.heads == ("top",)
    assert branched.applied(["left2"]) == {"root", "left1", "left2"}
    assert sorted(downgrade(branched, ["top"])) == ["left1", "left2", "right1", "root", "top"]


def test_what_a_revision_depends_on_runs_before_it(tmp_path: Path) -> None:
    chain = chain_of(
        tmp_path,
        [
            named("users1", None, branch_labels=("users",)),
            named("users2", "users1"),
            named("orders1", None),
            named("orders2", "orders1", depends_on="users"),
            named("orders3", "orders2", depends_on=("users2",)),
        ],
    )
    assert not chain.broken
    assert sorted(chain.heads) == ["orders3", "users2"]
    steps = upgrade(chain, [], "orders3")
    assert sorted(steps) == ["orders1", "orders2", "orders3", "users1", "users2"]
    assert steps.index("users1") < steps.index("orders2")
    assert steps.index("users2") < steps.index("orders3")
    assert upgrade(chain, [], "users2") == ["users1", "users2"]


def test_history_lists_every_revision_before_its_parents(branched: Chain) -> None:
    places = {revision.revision: place for place, revision in enumerate(branched.revisions)}
    for revision in branched.revisions:
        assert all(places[revision.revision] < places[parent] for parent in revision.down_revisions)


def test_unknown_current_revisions_are_told_apart(hexadecimal: Chain) -> None:
    assert hexadecimal.unknown(["ab12cd34", "gone", "ab12"]) == ("gone", "ab12")
    assert hexadecimal.applied(["gone"]) == frozenset()


# -- reading scripts


def test_no_script_is_run(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", alembic_project.linear(2), "sqlite://")
    ran = tmp_path / "ran"
    for script in project.versions.glob("*.py"):
        script.write_text(f"import pathlib, no_such_package\npathlib.Path({str(ran)!r}).touch()\n{script.read_text()}")
    chain = read_chain([project.versions])
    assert [revision.revision for revision in chain.revisions] == ["rev2", "rev1"]
    assert not chain.problems
    assert not ran.exists()


def test_a_header_may_be_annotated_and_say_more_than_alembic_asks(tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "a.py").write_text(
        '"""First words\nof two lines\n\nRevision ID: a1\nCreate Date: 2024-05-01 12:00:00.5\n"""\n'
        "from typing import Sequence, Union\n"
        "revision: str = 'a1'\ndown_revision: Union[str, None] = None\n"
        "branch_labels: Union[str, Sequence[str], None] = 'one'\ndepends_on: None = None\n"
        "something_else = compute()\n"
    )
    for ignored in ("__init__.py", ".#a.py", "README", "notes.txt"):
        (versions / ignored).write_text("revision = 'x'")
    chain = read_chain([versions])
    assert not chain.problems
    [revision] = chain.revisions
    assert (revision.revision, revision.down_revisions, revision.branch_labels) == ("a1", (), ("one",))
    assert (revision.message, revision.created) == ("First words of two lines", "2024-05-01 12:00:00.5")


def test_script_that_computes_its_labels_or_names_a_constant_is_read(tmp_path: Path) -> None:
    (tmp_path / "a1.py").write_text("revision = 'a1'\ndown_revision = None\nbranch_labels = (cli.EXPAND,)\n")
    (tmp_path / "b1.py").write_text("BEFORE = 'a1'\nrevision = 'b1'\ndown_revision = (BEFORE,)\n")
    chain = read_chain([tmp_path])
    assert not chain.problems
    assert [(one.revision, one.down_revisions, one.branch_labels) for one in chain.revisions] == [
        ("b1", ("a1",), ()),
        ("a1", (), ()),
    ]


def test_chain_that_only_this_program_cannot_read_is_not_called_broken(tmp_path: Path) -> None:
    (tmp_path / "a1.py").write_text("revision = 'a1'\ndown_revision = find_out()\n")
    with pytest.raises(ChainError, match="Alembic can use these scripts, but magetui does not run them"):
        read_chain([tmp_path]).require_graph()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("revision = 'b1'\ndown_revision = 'a' + '1'\n", "computes its down_revision"),
        ("revision = make_id()\n", "computes its revision"),
        ("down_revision = None\n", "does not declare its revision"),
        ("revision = 7\n", "does not declare its revision"),
        ("revision = 'b1'\ndef upgrade(:\n", "has a syntax error on line 2"),
        ("revision = 'b1'\x00", "null byte"),
    ],
)
def test_a_script_that_cannot_be_understood_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    script = tmp_path / "b1_broken.py"
    script.write_text(text)
    [problem] = read_chain([tmp_path]).problems
    assert problem.code == "unreadable-script"
    assert problem.message.startswith("b1_broken.py ")
    assert sentence in problem.message.replace("bytes", "byte")
    assert problem.files == (script,)


@pytest.mark.parametrize(
    ("revisions", "code", "files", "listed"),
    [
        pytest.param(
            alembic_project.cycle(),
            "cycle",
            ["rev1_create_t1.py", "rev2_create_t2.py", "rev3_create_t3.py"],
            ["rev1", "rev2", "rev3"],
            id="cycle",
        ),
        pytest.param(
            alembic_project.duplicate(),
            "duplicate-revision",
            ["rev2_create_t2.py", "rev2_create_t2_a_second_time.py"],
            ["rev1", "rev2"],
            id="duplicate",
        ),
        pytest.param(
            alembic_project.missing_parent(),
            "missing-parent",
            ["rev3_create_t3.py"],
            ["rev1", "rev3"],
            id="missing-parent",
        ),
        pytest.param(
            alembic_project.syntax_error(),
            "unreadable-script",
            ["rev2_not_python.py"],
            ["rev1"],
            id="syntax-error",
        ),
        pytest.param(alembic_project.no_scripts(), "no-scripts", [], [], id="no-scripts"),
    ],
)
def test_a_broken_chain_names_its_files_and_lists_the_rest(
    tmp_path: Path, revisions: tuple[Revision, ...], code: str, files: list[str], listed: list[str]
) -> None:
    chain = chain_of(tmp_path, revisions)
    [problem] = [problem for problem in chain.problems if problem.code != "several-heads"]
    assert problem.code == code
    assert sorted(path.name for path in problem.files) == files
    assert all(name in problem.message for name in files)
    assert sorted(revision.revision for revision in chain.revisions) == listed
    assert chain.broken
    with pytest.raises(ChainError, match="Alembic cannot use these scripts until this is fixed"):
        chain.upgrade_steps((), "heads")
    with pytest.raises(ChainError):
        chain.resolve("head")


@pytest.mark.parametrize("file", ["rev1_create_t1", "rev1_create_t1.py"])
def test_a_header_that_names_a_file_in_place_of_a_revision_is_told_the_revision(tmp_path: Path, file: str) -> None:
    chain = chain_of(tmp_path, [alembic_project.table(1), Revision("rev2", file, "Second")])
    [problem] = [problem for problem in chain.problems if problem.code == "missing-parent"]
    assert problem.message.endswith("rev1_create_t1.py is a file; its revision is rev1.")


def test_a_revision_that_follows_itself_is_a_cycle(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, [named("a", None), named("b", "b")])
    assert [(problem.code, problem.revisions) for problem in chain.problems] == [("cycle", ("b",))]


def test_revisions_that_depend_on_one_another_are_a_cycle(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, [named("a", None, depends_on="b"), named("b", None, depends_on="a")])
    assert "cycle" in [problem.code for problem in chain.problems]


def test_chain_without_branches_is_walked_as_alembic_would_walk_it(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, alembic_project.linear(5))
    assert list(chain.pending(())) == upgrade(chain, ())
    for revision in chain.by_id:
        assert list(chain.pending((revision,))) == upgrade(chain, (revision,))
        assert chain.applied((revision,)) == set(downgrade(chain, (revision,)))


class Circle:
    """Only the collector ends it, wherever that comes by, and then another thread may have its turn."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        self.itself = self


@pytest.mark.slow
def test_a_chain_is_read_by_several_threads_at_once(tmp_path: Path) -> None:
    """As by a screen that is opened while the state is being read: some releases of Python make no trees then."""
    project = alembic_project.make_project(tmp_path / "project", alembic_project.linear(40), "sqlite://")

    def read(_number: int) -> Chain:
        Circle()
        return read_chain([project.versions])

    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5, 2, 2)
    try:
        with ThreadPoolExecutor(8) as threads:
            chains = list(threads.map(read, range(32)))
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
    assert [problem for chain in chains for problem in chain.problems] == []
