"""Every text that Alembic takes for a revision, on graphs of many shapes: ours and Alembic's own answers are equal.

Where ours refuses what Alembic does, the test knows the reason: nothing is lost that Alembic would have done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import HeadMaintainer
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError as AlembicRevisionError
from alembic.util import CommandError

from magetui.engine.errors import MagetuiError, RefusedError, UsageError
from magetui.engine.revisions.graph import Chain, read_chain
from magetui.engine.revisions.steps import migrate_steps, rollback_steps, stamp_steps
from magetui.engine.revisions.version_changes import version_change
from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase

pytestmark = pytest.mark.filterwarnings("ignore:downgrade -1 from multiple heads")


def named(id: str, down: str | tuple[str, ...] | None, **more: Any) -> Revision:
    return Revision(id=id, down=down, message=f"About {id}", **more)


SHAPES: dict[str, tuple[Revision, ...]] = {
    "a line": (
        named("ab12cd", None, branch_labels=("main",)),
        named("ab98fe", "ab12cd"),
        named("c0ffee", "ab98fe"),
        named("d00d1e", "c0ffee"),
    ),
    "two branches of a root": (
        named("root01", None),
        named("left01", "root01", branch_labels=("left",)),
        named("left02", "left01"),
        named("right1", "root01", branch_labels=("right",)),
        named("right2", "right1"),
    ),
    "two branches without labels": (named("root01", None), named("left01", "root01"), named("right1", "root01")),
    "a merge": (
        named("root01", None),
        named("left01", "root01", branch_labels=("left",)),
        named("right1", "root01", branch_labels=("right",)),
        named("merge1", ("left01", "right1")),
        named("after1", "merge1"),
    ),
    "two bases": (
        named("user01", None, branch_labels=("users",)),
        named("user02", "user01"),
        named("order1", None, branch_labels=("orders",)),
        named("order2", "order1"),
    ),
    "two bases, one depends on the other": (
        named("user01", None, branch_labels=("users",)),
        named("user02", "user01"),
        named("order1", None, branch_labels=("orders",)),
        named("order2", "order1", depends_on="user02"),
        named("order3", "order2"),
    ),
    "a branch of a branch": (
        named("root01", None, branch_labels=("trunk",)),
        named("expa01", "root01", branch_labels=("expand",)),
        named("expa02", "expa01"),
        named("expa03", "expa01", branch_labels=("side", "aside")),
        named("cont01", "root01", branch_labels=("contract",), depends_on=("expa01",)),
    ),
}
COUNTS = ("+1", "+2", "+9", "-1", "-2", "-9")
NOT_ONE = ("", " ", "nope", "nope@head", "+0", "head@head", "1", "@head")


def expressions(shape: Sequence[Revision]) -> Iterator[str]:
    ids = [revision.id for revision in shape]
    labels = [label for revision in shape for label in revision.branch_labels or ()]
    yield from (*ids, *(id[:2] for id in ids), *(id[:4] for id in ids), *labels, *(label[:3] for label in labels))
    yield from ("head", "heads", "base", *COUNTS, *NOT_ONE)
    yield from (f"{start}{count}" for start in (*ids, *labels, "head", "base") for count in COUNTS)
    yield from (f"{branch}@{of}" for branch in (*labels, *ids) for of in ("head", "heads", "base", *COUNTS, *ids))
    yield from (f"{branch}@{start}{count}" for branch in labels for start in (*ids, "head") for count in COUNTS)


class Pair:
    """One project, read by us and by Alembic."""

    def __init__(self, directory: Path, shape: Sequence[Revision]) -> None:
        project = make_project(directory, shape, "sqlite://")
        self.script = ScriptDirectory.from_config(Config(project.ini))
        self.chain: Chain = read_chain([project.versions])

    def states(self) -> set[tuple[str, ...]]:
        """The current revisions that upgrades can lead to, one after another."""
        ids = list(self.chain.by_id)
        single = {version_change(self.chain, "migrate", (), id, "t").result for id in ids}
        then = {version_change(self.chain, "migrate", state, id, "t").result for state in single for id in ids}
        return {(), *single, *then}

    def of_alembic(self, verb: str, current: tuple[str, ...], wanted: str) -> list[str] | str:
        """The revisions that Alembic would run, or its error. For a stamp, the rows that it leaves."""
        try:
            if verb == "migrate":
                return [step.revision.revision for step in self.script._upgrade_revs(wanted, current)]  # type: ignore[arg-type]
            if verb == "rollback":
                return [step.revision.revision for step in self.script._downgrade_revs(wanted, current)]  # type: ignore[arg-type]
            rows = Rows(current)
            for step in self.script._stamp_revs(wanted, current):
                HeadMaintainer.update_to_step(rows, step)  # type: ignore[arg-type]
            return sorted(rows.heads)
        except (CommandError, AlembicRevisionError, AssertionError, AttributeError, KeyError, TypeError) as error:
            return f"{type(error).__name__}: {error}"

    def of_ours(self, verb: str, current: tuple[str, ...], wanted: str) -> list[str] | MagetuiError:
        try:
            if verb == "migrate":
                return [step.revision for step in migrate_steps(self.chain, current, wanted)[1]]
            if verb == "rollback":
                return [step.revision for step in rollback_steps(self.chain, current, wanted)[1]]
            target, _ = stamp_steps(self.chain, current, wanted, None)
            return list(version_change(self.chain, "stamp", current, target, "t").result)
        except MagetuiError as error:
            return error


class Rows:
    """The version table that Alembic's own steps write, as a set."""

    def __init__(self, heads: Sequence[str]) -> None:
        self.heads = set(heads)

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)

    def _delete_version(self, version: str) -> None:
        self.heads.remove(version)

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.remove(from_)
        self.heads.add(to_)


COUNTED_FROM = re.compile(r"(.+@)?\w+[+-]\d+")


def is_refused_on_purpose(
    verb: str, current: tuple[str, ...], wanted: str, alembic: list[str], ours: Exception
) -> bool:
    """Whether ours refuses what Alembic does: then nothing was to do, or Alembic guesses."""
    if verb == "stamp":  # for Alembic these are base, or count from the heads, as long as the version table is empty
        return not wanted.strip() or (not current and wanted.rpartition("@")[2][:1] == "-")
    if not alembic or isinstance(ours, (UsageError, RefusedError)):
        return alembic == []
    if "crosses branches" in str(ours):
        return len(alembic) != -int(wanted.rpartition("@")[2])
    return verb == "rollback" and wanted.startswith("-") and len(current) > 1  # Alembic takes the first row


def is_accepted_on_purpose(pair: Pair, verb: str, wanted: str) -> bool:
    """Whether ours accepts what Alembic does not: a stamp may count as an upgrade does."""
    if verb != "stamp" or not COUNTED_FROM.fullmatch(wanted):
        return False
    [target] = pair.script.revision_map._parse_upgrade_target((), wanted, assert_relative_length=True)
    return pair.chain.resolve(wanted) == getattr(target, "revision", target)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["migrate", "rollback", "stamp"])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_text_leads_where_alembic_would_go(tmp_path: Path, shape: str, verb: str) -> None:
    pair = Pair(tmp_path / "project", SHAPES[shape])
    wrong, compared = [], 0
    for current in sorted(pair.states()):
        for wanted in dict.fromkeys(expressions(SHAPES[shape])):
            alembic, ours = pair.of_alembic(verb, current, wanted), pair.of_ours(verb, current, wanted)
            if isinstance(alembic, str):
                is_right = isinstance(ours, MagetuiError) or is_accepted_on_purpose(pair, verb, wanted)
            elif isinstance(ours, MagetuiError):
                is_right = is_refused_on_purpose(verb, current, wanted, alembic, ours)
            else:
                is_right = sorted(ours) == sorted(alembic)  # the order of branches depends on that of the rows
                compared += 1
            if not is_right:
                wrong.append((current, wanted, alembic, getattr(ours, "message", ours)))
    assert not wrong, "\n".join(map(str, wrong[:20]))
    assert compared > 100


WALK = (
    ("migrate", "left@+2"),
    ("migrate", "right"),
    ("rollback", "left@-1"),
    ("migrate", "left@head"),
    ("migrate", "right1+1"),
    ("rollback", "right@base"),
    ("migrate", "heads"),
    ("rollback", "left02-1"),
    ("stamp", "left@head"),
    ("stamp", "heads"),
    ("rollback", "base"),
    ("stamp", "right@head"),
)


@pytest.mark.slow
def test_a_walk_through_branches_leaves_the_database_where_alembic_leaves_its_own(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    def table(revision: Revision) -> Revision:
        create = f"op.create_table('{revision.id}', sa.Column('id', sa.Integer))"
        return replace(revision, upgrade=create, downgrade=f"op.drop_table('{revision.id}', if_exists=True)")

    shape = [table(revision) for revision in SHAPES["two branches of a root"]]
    ours = make_project(tmp_path / "ours", shape, sqlite_database.url)
    other = SqliteDatabase(tmp_path / "alembic.db")
    alembics = Config(make_project(tmp_path / "alembic", shape, other.url).ini)
    run = {"migrate": command.upgrade, "rollback": command.downgrade, "stamp": command.stamp}
    for verb, wanted in WALK:
        words = (wanted,) if verb == "stamp" else ("--revision", wanted)
        done = magetui("--config", ours.ini, verb, *words, "--yes")
        assert done.status == 0, (verb, wanted, done)
        run[verb](alembics, wanted)
        assert (verb, wanted, sorted(sqlite_database.current)) == (verb, wanted, sorted(other.current))
        tables = "select name from sqlite_master where type = 'table' order by name"
        assert sqlite_database.rows(tables) == other.rows(tables)


@pytest.mark.slow
def test_texts_that_name_no_revision_are_refused_with_the_way_out(magetui: Magetui, tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "data.db")
    project = make_project(tmp_path / "project", SHAPES["two branches of a root"], database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "heads", "--yes").status == 0
    for words, said in (
        (("rollback", "--revision", "-1"), "Name the branch, as in 'left02@-1', or the revision."),
        (
            ("rollback", "--revision", "left@-9"),
            "'left@-9' goes further back than the chain: 3 steps lead to its base.",
        ),
        (("stamp", "-1"), "which only 'migrate' and 'rollback' do. Name where to count from, as in 'head-1'"),
        (("stamp", "head-1"), "The chain has 2 heads (right2, left02), so 'head-1' is ambiguous."),
        (("plan", "migrate", "--revision", "root01+1"), "'root01+1' crosses a branch point, before left01, right1."),
        (("verify", "le"), "Several revisions start with 'le': left, left01, left02."),
        (("repair", "--revision", "nope"), "There is no revision 'nope' in the chain of 5."),
    ):
        refused = (
            magetui("--config", project.ini, *words, "--yes")
            if words[0] != "plan"
            else magetui("--config", project.ini, *words)
        )
        assert (refused.status, said in refused.stderr) == (2, True), (words, refused)
    verified = magetui("--config", project.ini, "verify", "heads", "--yes")
    assert "The live schema equals the schema of " in verified.stdout, verified
