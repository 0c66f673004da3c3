"""The style sheets' location, and the colours: the terminal's own sixteen, which are readable on every terminal."""

from __future__ import annotations

from pathlib import Path

THEME = "ansi-dark"

CRITICAL, WARNING, GOOD, QUIET, STRONG = "bold ansi_red", "ansi_yellow", "ansi_green", "dim", "bold"
SQL = "ansi_cyan"
BAR = "ansi_blue"
PRODUCTION = "bold reverse ansi_red"
SEVERITY_STYLES = {"critical": CRITICAL, "warning": "bold ansi_yellow", "info": "ansi_cyan", "ok": GOOD}


def style_sheets() -> list[Path]:
    """Return the .tcss files of the installed package, or of the checkout (an editable install)."""
    package = Path(__file__).resolve().parents[1]
    folder = next(f for f in (package / "styles", package.parent / "styles") if f.is_dir())
    return sorted(folder.glob("*.tcss"))
