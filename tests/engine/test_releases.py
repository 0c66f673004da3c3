"""The current revision tells which Mage wrote it and which to pin. The data is refreshed from Mage's own tags."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from magetui.cli.releases import OURS, refresh
from magetui.engine.project.release_tags import VERSIONS, merge_releases, write_data
from magetui.engine.project.releases import (
    first_releases,
    origin_of,
    release_range,
    releases,
    releases_at,
    version_key,
)
from magetui.engine.revisions.graph import Chain, read_chain
from tests.support.mage import HEAD, SCRIPTS, VERSION

NO_RELEASE_STOPPED = "526c4523d5d5"
LOST = "256d6a12a927"  # a revision that later disappeared from the chain


@pytest.fixture(scope="module")
def chain(mage_home: Path) -> Chain:
    return read_chain([mage_home / SCRIPTS / "versions"])


def test_a_current_revision_belongs_to_the_releases_that_stopped_there(chain: Chain) -> None:
    assert VERSION in releases_at(HEAD)
    assert release_range(HEAD) == f"mage-ai {releases_at(HEAD)[0]} to {releases_at(HEAD)[-1]}"
    assert release_range("0123456789ab") is None
    assert len({release.version for release in releases()}) == len(releases())
    before = origin_of("0227396a216c", chain, "0.9.70")
    assert (before.release_range, before.pin, before.ahead) == ("mage-ai 0.9.71 to 0.9.76", "0.9.76", True)
    assert before.command == "pip install mage-ai==0.9.76"


def test_a_current_revision_where_no_release_stopped_belongs_to_the_first_that_has_it(chain: Chain) -> None:
    origin = origin_of(NO_RELEASE_STOPPED, chain, VERSION)
    assert (origin.release_range, origin.first, origin.ahead) == (None, "0.9.32", False)
    assert origin.pin in releases_at("9f3b46404196")  # the head of 0.9.32, which comes next: the least is migrated
    assert set(first_releases(chain)) == set(chain.by_id)


def test_the_release_to_pin_is_one_that_is_known_for_certain(chain: Chain) -> None:
    known = {release.version: release for release in releases()}
    assert releases_at("b9a2d6d0a2c7")[-1] == "0.9.69"
    assert known["0.9.69"].source == "version commit"  # with a new revision in the release after it
    assert origin_of("b9a2d6d0a2c7", chain).pin == "0.9.68"
    assert origin_of("df2c4628b81b", chain).pin == "0.9.64"
    assert origin_of(LOST, chain).pin is None  # only 0.2.10 had it, and its package has no migrations


def test_a_release_that_was_never_published_is_not_advised(chain: Chain) -> None:
    installable = {release.version for release in releases() if release.installable}
    assert len(releases()) - len(installable) == 20
    pins = {origin_of(release.head, chain).pin for release in releases()}
    assert pins - {None} <= installable
    [unpublished] = [release for release in releases() if release.version == "0.9.56"]
    assert origin_of(unpublished.head, chain).pin in installable


def test_a_revision_of_no_release_and_the_chain_of_another_project_belong_to_none() -> None:
    origin = origin_of("0123456789ab", Chain((), ()), VERSION)
    assert (origin.release_range, origin.first, origin.command, origin.ahead) == (None, None, None, False)
    assert not first_releases(Chain((), ()))


def test_versions_are_compared_by_their_numbers() -> None:
    ordered = sorted(["0.9.70", "0.9.9", "0.10.0", "0.9.71rc1", "0.9.7"], key=version_key)
    assert ordered == ["0.9.7", "0.9.9", "0.9.70", "0.9.71rc1", "0.10.0"]


# -- refreshing the data


class Repository:
    """A git repository as Mage's is laid out, made by a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet")

    def git(self, *arguments: str, moment: str = "2026-02-03T04:05:06Z") -> None:
        who = {f"GIT_{role}_{what}": "t@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        when = {"GIT_COMMITTER_DATE": moment, "GIT_AUTHOR_DATE": moment}
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **who, **when}
        subprocess.run(["git", *arguments], cwd=self.folder, env=environment, check=True, timeout=20)

    def release(self, tag: str, scripts: Mapping[str, str | None], moment: str = "2026-02-03T04:05:06Z") -> None:
        """Commit scripts (each with the one that it follows) and tag that."""
        for revision, down in scripts.items():
            path = self.folder / VERSIONS / f"{revision}_made.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'"""Made"""\nraise SystemExit("run")\nrevision = {revision!r}\ndown_revision = {down!r}\n')
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", tag, moment=moment)
        self.git("tag", tag)


def data(path: Path, **heads: str) -> Path:
    rows = [
        {"version": v.replace("_", ".")[1:], "date": "2020", "head": h, "revisions": 1, "from": "version commit"}
        for v, h in heads.items()
    ]
    path.write_text(json.dumps({"about": "old", "releases": rows}))
    return path


def test_refreshing_reads_the_tags_and_keeps_what_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = Repository(tmp_path / "mage")
    repository.release("0.0.9", {})  # before there was a database
    repository.release("0.1.0", {"aaa": None})
    repository.release("0.1.9", {"bbb": "aaa"})
    repository.release("v0.1.10", {"ccc": "bbb"}, "2026-05-06T23:00:00Z")
    repository.release("helm-1.2.3", {"ddd": "ccc"})
    file = data(tmp_path / "data.json", v0_0_8="zzz", v0_1_9="wrong", v0_1_11="ddd")
    assert refresh(["--repository", str(repository.folder), "--output", str(file)]) == 0
    text = file.read_text()
    told = json.loads(text)["releases"]
    assert [(row["version"], row["head"], row["revisions"], row["from"]) for row in told] == [
        ("0.0.8", "zzz", 1, "version commit"),
        ("0.1.0", "aaa", 1, "tag"),
        ("0.1.9", "bbb", 2, "tag"),
        ("0.1.10", "ccc", 3, "tag"),
        ("0.1.11", "ddd", 1, "version commit"),
    ]
    assert [row["date"] for row in told[1:4]] == ["2026-02-03", "2026-02-03", "2026-05-06"]
    assert "3 tags read, 3 of 5 releases are new or changed" in capsys.readouterr().out
    assert refresh(["--repository", str(repository.folder), "--output", str(file)]) == 0
    assert file.read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "home", "mage"]


def test_a_tag_whose_head_cannot_be_told_is_passed_over_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = Repository(tmp_path / "mage")
    repository.release("0.1.0", {"aaa": None})
    repository.release("0.1.1", {"bbb": "aaa", "ccc": "aaa"})
    file = data(tmp_path / "data.json", v0_1_1="bbb")
    assert refresh(["--repository", str(repository.folder), "--output", str(file)]) == 1
    assert "tag 0.1.1 is skipped: The chain has 2 heads" in capsys.readouterr().err
    assert [row["head"] for row in json.loads(file.read_text())["releases"]] == ["aaa", "bbb"]


def test_what_is_no_clone_is_said_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = data(tmp_path / "data.json", v0_1_1="bbb")
    before = file.read_text()
    for folder, sentence in ((tmp_path / "none", "cannot be read as a git repository"), (tmp_path / "empty", "no tag")):
        if folder.name == "empty":
            Repository(folder)
        assert refresh(["--repository", str(folder), "--output", str(file)]) == 2
        assert sentence in capsys.readouterr().err
    assert file.read_text() == before


def test_the_data_in_use_is_as_the_command_writes_it(tmp_path: Path) -> None:
    """So that refreshing it shows what is new, and nothing else."""
    copy = tmp_path / "data.json"
    write_data(copy, merge_releases(json.loads(OURS.read_text()), []))
    assert copy.read_text() == OURS.read_text()
