"""The way in: a verb goes to the command line, none opens the full-screen program."""

from __future__ import annotations

import sys


def main() -> None:
    """Run and exit with the status that PRODUCT.md documents."""
    from magetui.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
