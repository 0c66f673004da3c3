"""Refresh `mage_releases.json` after new releases of Mage. This is for the maintainers of magetui.

    git clone --bare --filter=blob:none … mage      # Mage's public repository
    pip index versions mage-ai > published.txt
    uv run python -m magetui.cli.releases --repository mage --published published.txt

`git diff` shows the changes, and the tests check them.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from magetui.cli.output import complain, print_lines
from magetui.engine.errors import MagetuiError
from magetui.engine.project import releases
from magetui.engine.project.release_tags import TaggedRelease, UnreadTag, merge_releases, read_tags, write_data

VERSION = re.compile(r"\d+\.\d+\.\d+")
OURS = Path(releases.__file__).with_name(releases.DATA)


def refresh(arguments: Sequence[str]) -> int:
    """Read the tags and rewrite the data. Returns 1 if a tag could not be read; the row of that tag stays as it was."""
    parser = argparse.ArgumentParser(prog="python -m magetui.cli.releases", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repository", required=True, type=Path, help="a clone of Mage's public repository, with tags")
    parser.add_argument("--published", type=Path, help="the output of 'pip index versions mage-ai'")
    parser.add_argument("--output", type=Path, default=OURS, help="the file to refresh (default: the one in use)")
    chosen = parser.parse_args(arguments)
    try:
        data = json.loads(chosen.output.read_text(encoding="utf-8"))
        tags = list(read_tags(chosen.repository))
        tagged = [tag for tag in tags if isinstance(tag, TaggedRelease)]
        listed = None if chosen.published is None else set(VERSION.findall(chosen.published.read_text()))
        new = merge_releases(data, tagged, listed)
        write_data(chosen.output, new)
    except (MagetuiError, OSError) as error:
        complain(f"magetui: {error}")
        return error.status if isinstance(error, MagetuiError) else 1
    unread = [tag for tag in tags if isinstance(tag, UnreadTag)]
    for tag in unread:
        complain(f"tag {tag.tag} is skipped: {tag.problem}")
    changed = sum(row not in data["releases"] for row in new["releases"])
    newest = new["releases"][-1]
    print_lines(
        [
            f"{len(tagged)} tags read, {changed} of {len(new['releases'])} releases are new or changed",
            f"the newest release is {newest['version']}, at {newest['head']}",
        ]
    )
    return 1 if unread else 0


if __name__ == "__main__":
    sys.exit(refresh(sys.argv[1:]))
