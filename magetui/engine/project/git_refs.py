"""Where else a revision is: in which commit of the project's repository, on which branches and tags.

`git` only reads, without the settings that run programs, and for a limited time. It runs in the project's folder, so
only if the project is trusted.
"""

from __future__ import annotations

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
    for ref in refs:
        found = repository.lines("grep", "-lE", "--no-textconv", declares, ref, "--", "*.py")
        if found:
            file = found[0].removeprefix(f"{ref}:")
            commit = repository.lines("log", "-1", "--format=%H %h %cs", ref, "--", file)
            if not commit:
                return None
            long, short, date = commit[0].split()
            contained = repository.lines("for-each-ref", f"--contains={long}", "--format=%(refname:short)")
            return GitPlace(tuple(contained) or (ref,), short, date, file)
    return None


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
                capture_output=True,
                timeout=max(0.0, self._deadline - time.monotonic()),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else ()
