"""Where else a revision is: in which commit of the project's repository, on which branches and tags.

`git` only reads, without the settings that run programs, and for a limited time. It runs in the project's folder, so
only if the project is trusted.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_SECONDS = 3.0  # for all commands together
MOST_REFS = 200
NAMED_REFS = 3
# A repository's own configuration may name programs for these.
SAFE = ("-c", "core.fsmonitor=false", "-c", "core.pager=cat", "-c", "log.showSignature=false", "--no-pager")
# A partial clone fetches what it lacks, by programs of its configuration, and git asks for passwords on the terminal.
QUIET = {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_TERMINAL_PROMPT": "0"}


@dataclass(frozen=True, slots=True)
class GitPlace:
    """A script in a commit: the branches and tags that contain the commit, and the commit's short id and date."""

    refs: tuple[str, ...]
    commit: str
    date: str
    file: str

    @property
    def sentence(self) -> str:
        named = ", ".join(self.refs[:NAMED_REFS]) + (" …" if len(self.refs) > NAMED_REFS else "")
        return f"The repository has it, on {named}: {self.file}, commit {self.commit} of {self.date}."


def find_in_git(folder: Path, revision: str) -> GitPlace | None:
    """Return where the repository of `folder` has a script that declares the revision; None if it is not found."""
    repository = _Git(folder, time.monotonic() + LIMIT_SECONDS)
    refs = repository.lines("for-each-ref", f"--count={MOST_REFS}", "--sort=-committerdate", "--format=%(refname)")
    declares = rf"^revision\b.*[=:].*['\"]{revision}['\"]"
    found = repository.lines("grep", "-lE", "--no-textconv", declares, *refs, "--", "*.py") if refs else ()
    if not found:
        return None
    places = [line.partition(":")[::2] for line in found]
    ref, file = places[0]
    commit = repository.lines("log", "-1", "--format=%h %cs", ref, "--", file)
    if not commit:
        return None
    short, date = commit[0].split()
    names = dict.fromkeys(place.removeprefix("refs/").partition("/")[2] for place, _file in places)
    return GitPlace(tuple(sorted(names)), short, date, file)


class _Git:
    def __init__(self, folder: Path, deadline: float) -> None:
        self._folder, self._deadline = folder, deadline

    def lines(self, *arguments: str) -> Sequence[str]:
        """Return the lines that a command prints; none if it fails, or if there is no git or no time."""
        try:
            done = subprocess.run(
                ["git", *SAFE, *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | QUIET,
                capture_output=True,
                timeout=max(0.0, self._deadline - time.monotonic()),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else ()
