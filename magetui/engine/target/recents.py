"""Recent targets: the databases of the last connections, without their credentials.

They are one JSON file in the state directory, which only its owner can read. An unreadable file counts as empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sqlalchemy.engine import URL

from magetui.engine.directories import state_directory
from magetui.engine.target.selection import PROJECT, Selection
from magetui.engine.target.target import Target, odbc_string
from magetui.protocol import odbc
from magetui.protocol.journal import now
from magetui.protocol.private_files import read_document, write_document
from magetui.protocol.redaction import HIDDEN, SECRET_KEYS, redact_url

MOST = 10
FILE = "recent.json"
SECRET_KEY = re.compile(SECRET_KEYS, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Recent:
    """A database and the project it was opened with. `url` has no password, and `at` is ISO 8601 in UTC."""

    url: str
    source: str
    at: str
    target: str | None = None
    project_path: str | None = None
    config: str | None = None
    name: str | None = None
    mage_path: str | None = None
    python: str | None = None

    def chosen(self, base: Selection) -> Selection:
        return replace(
            base,
            url=self.url,
            url_source="the recent targets",
            url_folder=None,
            target=None,
            password=None,
            password_command=None,
            **{name: getattr(self, name) or getattr(base, name) for name in PROJECT},
        )


def recent_targets(environment: Mapping[str, str]) -> tuple[Recent, ...]:
    """Return the recent targets, the latest first."""
    try:
        document = read_document(state_directory(environment) / FILE)
        targets = [Recent(**target) for target in document["targets"]]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return ()
    return tuple(t for t in targets if all(isinstance(value, str | None) for value in asdict(t).values()))[:MOST]


def remember(environment: Mapping[str, str], selection: Selection, target: Target) -> None:
    """Record a database as the latest target. Raises `OSError` if the file cannot be written."""
    url = without_credentials(target)
    if url is None:
        return
    project = {name: getattr(selection, name) for name in PROJECT}
    for name in ("project_path", "config", "mage_path"):  # absolute, since the next start may be in another folder
        if project[name] is not None or name == "project_path":
            project[name] = str(Path(project[name] or ".").absolute())
    latest = Recent(url, target.source, now(), selection.target, **project)
    others = [t for t in recent_targets(environment) if replace(t, at=latest.at, source=latest.source) != latest]
    document = {"targets": [asdict(target) for target in [latest, *others][:MOST]]}
    write_document(state_directory(environment) / FILE, document)


def without_credentials(target: Target) -> str | None:
    """Return the target's URL without the password. Returns None if a secret cannot be separated from the URL."""
    old = target.url
    query = {key: value for key, value in old.query.items() if not SECRET_KEY.fullmatch(key)}
    if (string := odbc_string(old)) is not None:
        query[odbc.PARAMETER] = string.with_password(None)
    # A new URL, since `URL.set(password=None)` keeps the password.
    url = URL.create(old.drivername, old.username, None, old.host, old.port, old.database, query)
    text = url.render_as_string(hide_password=False)
    return None if HIDDEN in redact_url(text) else text
