"""The style sheets' location, and the styles: names of a theme's colours, each with a weight or a word beside it.

The default theme maps them to the terminal's own sixteen colours, which the operator has chosen for the background.
"""

from __future__ import annotations

from pathlib import Path

CRITICAL, WARNING, GOOD, QUIET, STRONG = "bold $text-error", "$text-warning", "$text-success", "dim", "bold"
SQL, SQL_STRING = "bold $text-primary", "$text-success"  # of SQL: keywords, and strings
BAR = "$primary"
PRODUCTION = "bold reverse $text-error"
SEVERITY_STYLES = {"critical": CRITICAL, "warning": "bold $text-warning", "info": "$text-secondary", "ok": GOOD}


def _style_sheets() -> list[Path]:
    """Return the .tcss files of the installed package, or of the checkout (an editable install)."""
    package = Path(__file__).resolve().parents[1]
    folder = next(f for f in (package / "styles", package.parent / "styles") if f.is_dir())
    return sorted(folder.glob("*.tcss"))


_SHEETS = _style_sheets()
MAIN_SHEETS = [file for file in _SHEETS if file.stem in ("app", "rows")]  # what the first paint needs
OTHER_SHEETS = [file for file in _SHEETS if file not in MAIN_SHEETS]  # of the other screens
