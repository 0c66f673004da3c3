"""Releases of Mage: the release that a database belongs to, according to its current revision.

`mage_releases.json` has the head revision of each release. One revision may be the head of several releases, or of
none. The data is refreshed from a clone of Mage's public repository (`magetui.cli.releases`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain

DATA = "mage_releases.json"
NUMBERS = re.compile(r"\d+(?:\.\d+)+")
SURE = frozenset({"tag", "wheel"})


@dataclass(frozen=True, slots=True)
class Release:
    """A release and its head, which was read from 'tag', 'wheel' or, less certainly, 'version commit'.

    `installable`: whether the package index has it with its migrations. Some versions were only tagged, and the oldest
    packages lack the migrations.
    """

    version: str
    head: str
    source: str = "tag"
    installable: bool = True


@dataclass(frozen=True, slots=True)
class Origin:
    """A revision's position among Mage's releases, relative to the installed one, `running`.

    `versions` are the releases whose head it is, oldest first. `first` is the first release that has the revision.
    `pin` is the release to install for a database at this revision: no installable release migrates it less, and its
    head is certain if that is possible. None if there is none.
    """

    revision: str
    versions: tuple[str, ...]
    first: str | None
    pin: str | None
    running: str | None

    @property
    def release_range(self) -> str | None:
        """Return 'mage-ai 0.9.77 to 0.9.80', 'mage-ai 0.2.10', or None if the revision is the head of no release."""
        return _range(self.versions)

    @property
    def command(self) -> str | None:
        """Return the command that installs the release to pin."""
        return f"pip install mage-ai=={self.pin}" if self.pin else None

    @property
    def ahead(self) -> bool:
        """Return True if only releases newer than the installed one have the revision."""
        return bool(self.first and self.running and version_key(self.running) < version_key(self.first))


@lru_cache(maxsize=1)
def releases() -> tuple[Release, ...]:
    """Return Mage's releases and their head revisions, oldest first."""
    text = resources.files("magetui.engine.project").joinpath(DATA).read_text(encoding="utf-8")
    rows = json.loads(text)["releases"]
    return tuple(Release(row["version"], row["head"], row["from"], row.get("installable", True)) for row in rows)


@lru_cache(maxsize=1)
def _versions_by_head() -> Mapping[str, Sequence[str]]:
    """Return the versions by their head revision. Lists of revisions ask for each of their rows."""
    versions: dict[str, list[str]] = {}
    for release in releases():
        versions.setdefault(release.head, []).append(release.version)
    return versions


def releases_at(revision: str) -> tuple[str, ...]:
    """Return the versions of Mage whose head is `revision`, oldest first."""
    return tuple(_versions_by_head().get(revision, ()))


def release_range(revision: str) -> str | None:
    """Return 'mage-ai 0.9.77 to 0.9.80', 'mage-ai 0.2.10', or None if the revision is the head of no release."""
    return _range(releases_at(revision))


def first_releases(chain: Chain) -> Mapping[str, Release]:
    """Return the first release that has each revision of Mage's chain. Empty for the chain of another project."""
    first: dict[str, Release] = {}
    for release in releases():
        frontier = [release.head]
        while frontier:
            revision = chain.by_id.get(frontier.pop())
            if revision is not None and revision.revision not in first:
                first[revision.revision] = release
                frontier.extend(revision.parents)
    return first


def origin_of(revision: str, chain: Chain, running: str | None = None) -> Origin:
    """Return the origin of `revision`. `running` is the version of the installed Mage, and `chain` is its chain."""
    versions = releases_at(revision)
    at_head = next((release for release in releases() if release.head == revision), None)
    first = at_head or first_releases(chain).get(revision)
    if first is None:
        return Origin(revision, versions, None, None, running)
    return Origin(revision, versions, first.version, _pin(first, stays=revision in chain.by_id), running)


def version_key(version: str) -> tuple[int, ...]:
    """Return a version such as '0.9.76' as numbers to compare. Suffixes (rc1, +local) are ignored."""
    match = NUMBERS.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _pin(first: Release, *, stays: bool) -> str | None:
    """Return the newest installable release with the head of `first`, else a later one if the revision `stays` in them.

    A release whose head is proven comes before one whose head was read from a commit.
    """
    known = releases()
    later = [release for release in known[known.index(first) :] if release.installable]
    at_head = [release for release in later if release.head == first.head]
    proven = [release for release in at_head if release.source in SURE]
    return next((release.version for release in [*proven[::-1], *at_head[::-1], *(later if stays else ())]), None)


def _range(versions: Sequence[str]) -> str | None:
    if not versions:
        return None
    return f"mage-ai {versions[0]}" + (f" to {versions[-1]}" if len(versions) > 1 else "")
