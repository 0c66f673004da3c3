"""Mage's releases, read from a clone of its public repository: the head of the chain at the tag of each release.

Nothing of the repository is checked out or run. Only the maintainers run this, to refresh the data of `releases`.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from magetui.engine.errors import UsageError
from magetui.engine.project.mage import MIGRATIONS
from magetui.engine.project.releases import version_key
from magetui.engine.revisions.graph import read_chain

VERSIONS = Path("mage_ai", MIGRATIONS, "versions").as_posix()
WITHOUT_MIGRATIONS = frozenset({"0.2.10", "0.3.1", "0.3.2", "0.3.3", "0.3.4"})  # their packages have no scripts
NOT_INSTALLABLE = {"installable": False}
RELEASE_TAG = re.compile(r"v?(\d+\.\d+\.\d+)")
ABOUT = (
    "The Alembic revision that is the head of each release of mage-ai. Read from the public repository: from the "
    "release tag if there is one, else from the commit that set the version (such a row can be one release off). "
    "Refreshed by: python -m magetui.cli.releases --repository DIR, a clone of Mage's public repository with its tags."
)


@dataclass(frozen=True, slots=True)
class TaggedRelease:
    """A tag's release: `date` is the day of its commit, `revisions` the number of revisions in its chain."""

    version: str
    date: str
    head: str
    revisions: int


@dataclass(frozen=True, slots=True)
class UnreadTag:
    """A tag whose head cannot be determined, and why."""

    tag: str
    problem: str


def read_tags(repository: Path) -> Iterator[TaggedRelease | UnreadTag]:
    """Yield the releases of a clone since Mage has a database, oldest first. Raises `UsageError` if there is no tag."""
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
            content = tar.extractfile(member)  # None if it is not a file
            if content is not None and "/" not in member.name:
                Path(folder, member.name).write_bytes(content.read())
        chain = read_chain([Path(folder)])
    if chain.problems:
        return UnreadTag(tag, " ".join(problem.message for problem in chain.problems).replace(folder, VERSIONS))
    [version] = RELEASE_TAG.findall(tag)
    date = _git(repository, "log", "-1", "--format=%cs", commit).strip()
    return TaggedRelease(version, date, chain.heads[0], len(chain.revisions))


def merge_releases(
    data: Mapping[str, Any], tagged: Sequence[TaggedRelease], published: Set[str] | None = None
) -> dict[str, Any]:
    """Return the data with the tags' releases, which replace older rows. Releases without a tag stay.

    `published` are the versions that the package index has; None leaves what the data says of that.
    """
    rows = {row["version"]: {key: row[key] for key in row if key != "installable"} for row in data["releases"]}
    missing = {row["version"] for row in data["releases"] if not row.get("installable", True)}
    rows |= {release.version: {**asdict(release), "from": "tag"} for release in tagged}
    if published is not None:
        missing = {*(rows.keys() - published), *(rows.keys() & WITHOUT_MIGRATIONS)}
    for version in missing:
        rows[version] |= NOT_INSTALLABLE
    return {"about": ABOUT, "releases": sorted(rows.values(), key=lambda row: version_key(row["version"]))}


def write_data(path: Path, data: Mapping[str, Any]) -> None:
    """Write the data completely or not at all, one release per line, so that a diff is easy to read."""
    rows = ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in data["releases"])
    about = json.dumps(data["about"], ensure_ascii=False)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(f'{{\n "about": {about},\n "releases": [\n{rows}\n ]\n}}\n', encoding="utf-8")
    unfinished.replace(path)


def _git(repository: Path, *arguments: str) -> str:
    return _git_bytes(repository, *arguments).decode(errors="replace")


def _git_bytes(repository: Path, *arguments: str) -> bytes:
    # Git's own variables, which hooks set, would make it read another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"git cannot be run: {error}.") from error
    if done.returncode:
        complaint = " ".join(done.stderr.decode(errors="replace").split())
        raise UsageError(f"{repository} cannot be read as a git repository: git {arguments[0]} says {complaint}.")
    return done.stdout
