"""Where the style sheets are, and the colours: the terminal's own sixteen, so that they are readable on any."""

from __future__ import annotations

from pathlib import Path

THEME = "ansi-dark"

CRITICAL, WARNING, GOOD, QUIET, STRONG = "bold ansi_red", "ansi_yellow", "ansi_green", "dim", "bold"
PRODUCTION = "bold reverse ansi_red"
SEVERITY_STYLES = {"critical": CRITICAL, "warning": "bold ansi_yellow", "info": "ansi_cyan", "ok": GOOD}


def style_sheets() -> list[Path]:
    """The .tcss files: in the installed package, or at the top of a checkout (an editable install)."""
    here = Path(__file__).resolve().parents[1]
    folder = next(f for f in (here / "styles", here.parent / "styles") if f.is_dir())
    return sorted(folder.glob("*.tcss"))
