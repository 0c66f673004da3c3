"""Which release of Mage a database belongs to, told from its current revision.

`mage_releases.json` says which revision is the head of each release. Most releases added none, so that a revision is
the head of a whole row of them; some revisions came several to a release, so that none ever stopped there. The data
is refreshed from a clone of Mage's public repository: see `magetui.cli.releases`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from magetui.engine.revisions.graph import Chain

DATA = "mage_releases.json"
NUMBERS = re.compile(r"\d+(?:\.\d+)+")
SURE = frozenset({"tag", "wheel"})


@dataclass(frozen=True, slots=True)
class Release:
    """A release and its head; `source` is what that was read off: 'tag', 'wheel', or 'version commit'.

    The commit that set the version may stand on the other side of a new revision than the release does.
    """

    version: str
    head: str
    source: str = "tag"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a revision stands among Mage's releases, and beside the one that is installed.

    `versions` have it as their head, oldest first. `first` is the first that has it at all, `pin` the release to
    install for a database that is there: none migrates it less, and that it is one of them is beyond doubt where that
    can be had.
    """

    revision: str
    versions: tuple[str, ...]
    first: str | None
    pin: str | None
    running: str | None

    @property
    def spoken(self) -> str | None:
        """'mage-ai 0.9.77 to 0.9.80', 'mage-ai 0.2.10', or None where no release stopped there."""
        return _spoken(self.versions)

    @property
    def command(self) -> str | None:
        """What installs the release to pin."""
        return f"pip install mage-ai=={self.pin}" if self.pin else None

    @property
    def ahead(self) -> bool:
        """Whether only releases newer than the installed one have it."""
        return bool(self.first and self.running and version_key(self.running) < version_key(self.first))


@lru_cache(maxsize=1)
def releases() -> tuple[Release, ...]:
    """Mage's releases and their head revisions, oldest first."""
    text = resources.files("magetui.engine.project").joinpath(DATA).read_text(encoding="utf-8")
    return tuple(Release(row["version"], row["head"], row["from"]) for row in json.loads(text)["releases"])


def releases_at(revision: str) -> tuple[str, ...]:
    """The versions of Mage whose head is `revision`, oldest first; none where Mage never stopped there."""
    return tuple(release.version for release in releases() if release.head == revision)


def spoken_releases(revision: str) -> str | None:
    """'mage-ai 0.9.77 to 0.9.80', 'mage-ai 0.2.10', or None."""
    return _spoken(releases_at(revision))


def first_releases(chain: Chain) -> Mapping[str, Release]:
    """For each revision of Mage's chain the first release that has it; nothing for another chain's."""
    found: dict[str, Release] = {}
    for release in releases():
        frontier = [release.head]
        while frontier:
            revision = chain.by_id.get(frontier.pop())
            if revision is not None and revision.revision not in found:
                found[revision.revision] = release
                frontier.extend((*revision.down_revisions, *revision.depends_on))
    return found


def origin_of(revision: str, chain: Chain, running: str | None = None) -> Origin:
    """Where `revision` stands; `running` is the version of the installed Mage, whose chain `chain` is."""
    versions = releases_at(revision)
    first = next((one for one in releases() if one.head == revision), None) or first_releases(chain).get(revision)
    pin = _surest(first.head) if first is not None else None
    return Origin(revision, versions, first.version if first is not None else None, pin, running)


def version_key(version: str) -> tuple[int, ...]:
    """'0.9.76' as numbers to compare; what comes behind them (rc1, +local) is left out."""
    match = NUMBERS.match(version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _surest(head: str) -> str:
    """The newest release with that head of which that is beyond doubt; the newest where it is of none."""
    known = releases()
    at = [place for place, release in enumerate(known) if release.head == head]
    sure = [place for place in at if known[place].source in SURE or (place - 1 in at and place + 1 in at)]
    return known[max(sure or at)].version


def _spoken(versions: Sequence[str]) -> str | None:
    if not versions:
        return None
    return f"mage-ai {versions[0]}" + (f" to {versions[-1]}" if len(versions) > 1 else "")
