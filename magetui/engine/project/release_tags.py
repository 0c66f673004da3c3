"""Reads Mage's releases off a clone of its public repository: of each release's tag the head of its chain.

Nothing of the repository is checked out or run. Git gives each tag's scripts, and the chain's own reader their headers.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from magetui.engine.errors import UsageError
from magetui.engine.project.mage import MIGRATIONS
from magetui.engine.project.releases import version_key
from magetui.engine.revisions.graph import read_chain

VERSIONS = Path("mage_ai", MIGRATIONS, "versions").as_posix()
RELEASE_TAG = re.compile(r"v?(\d+\.\d+\.\d+)")
ABOUT = (
    "Which Alembic revision is the head of each release of mage-ai. Read off the public repository: the release tag "
    "where there is one, else the commit that set the version (such a row can be one release off). Refreshed by: "
    "python -m magetui.cli.releases --repository DIR, a clone of Mage's public repository with its tags."
)


@dataclass(frozen=True, slots=True)
class TaggedRelease:
    """What a tag says: `revisions` is how many its chain has, `date` the day of its commit."""

    version: str
    date: str
    head: str
    revisions: int


@dataclass(frozen=True, slots=True)
class UnreadTag:
    """A tag of which no head can be told, and why."""

    tag: str
    problem: str


def read_tags(repository: Path) -> Iterator[TaggedRelease | UnreadTag]:
    """The releases of a clone, oldest first; tags from before Mage had a database are passed over.

    Raises `UsageError` where there is no clone, or it has no such tag.
    """
    tags = sorted(
        (tag for tag in _git(repository, "tag", "--list").splitlines() if RELEASE_TAG.fullmatch(tag)),
        key=lambda tag: version_key(tag.removeprefix("v")),
    )
    if not tags:
        raise UsageError(f"{repository} has no tag such as 0.9.80: clone Mage's repository with its tags.")
    for tag in tags:
        if _git(repository, "ls-tree", "-d", "--name-only", f"refs/tags/{tag}", VERSIONS).strip():
            yield _read_tag(repository, tag)


def _read_tag(repository: Path, tag: str) -> TaggedRelease | UnreadTag:
    commit = f"refs/tags/{tag}^{{commit}}"
    archive = _git_bytes(repository, "archive", "--format=tar", f"{commit}:{VERSIONS}")
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)  # None for what is no file
            if content is not None and "/" not in member.name:
                Path(folder, member.name).write_bytes(content.read())
        chain = read_chain([Path(folder)])
    if chain.problems:
        return UnreadTag(tag, " ".join(problem.message for problem in chain.problems).replace(folder, VERSIONS))
    [version] = RELEASE_TAG.findall(tag)
    date = _git(repository, "log", "-1", "--format=%cs", commit).strip()
    return TaggedRelease(version, date, chain.heads[0], len(chain.revisions))


def refreshed(data: Mapping[str, Any], tagged: Sequence[TaggedRelease]) -> dict[str, Any]:
    """The data with what the tags say, which is surer than what stood there; releases without a tag stay."""
    rows = {row["version"]: row for row in data["releases"]}
    rows |= {one.version: {**asdict(one), "from": "tag"} for one in tagged}
    return {"about": ABOUT, "releases": sorted(rows.values(), key=lambda row: version_key(row["version"]))}


def write_data(path: Path, data: Mapping[str, Any]) -> None:
    """Write the data whole or not at all, a release a line, so that a difference is read at a glance."""
    rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in data["releases"])
    about = json.dumps(data["about"], ensure_ascii=False)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(f'{{\n "about": {about},\n "releases": [\n{rows}\n ]\n}}\n', encoding="utf-8")
    unfinished.replace(path)


def _git(repository: Path, *arguments: str) -> str:
    return _git_bytes(repository, *arguments).decode(errors="replace")


def _git_bytes(repository: Path, *arguments: str) -> bytes:
    # Git's variables would have it look elsewhere; a hook sets them, say.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"git cannot be run: {error}.") from error
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise UsageError(f"{repository} cannot be read as a git repository: git {arguments[0]} says {said}.")
    return done.stdout
