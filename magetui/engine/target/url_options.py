"""A PostgreSQL URL with another setting of the session, such as search_path or role, for advice that can be copied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from magetui.protocol.redaction import redact_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

SETTING = re.compile(r"(?:-c\s*|--)([\w.]+)\s*=\s*((?:\\.|\S)*)")


def setting(url: URL, name: str) -> str | None:
    """Return the value that libpq's `options` of the URL give a setting; None if they give none."""
    value = _settings(url).get(name)
    return None if value is None else re.sub(r"\\(.)", r"\1", value)


def with_setting(url: URL, name: str, value: str) -> URL:
    """Return the URL whose libpq `options` set `name` to `value` and keep their other settings.

    libpq separates options by spaces, and a backslash escapes a space or a backslash in a value (PostgreSQL manual,
    34.1.2). The settings `search_path` and `role` take the place of SET search_path and SET ROLE.
    """
    settings = {**_settings(url), name: re.sub(r"([\s\\])", r"\\\1", value)}
    options = " ".join(f"-c{key}={setting}" for key, setting in settings.items())
    return url.update_query_dict({"options": options})


def shown_with_setting(url: URL, name: str, value: str) -> str:
    """Return the URL of `with_setting` as it is shown, without its password."""
    return redact_url(with_setting(url, name, value).render_as_string())


def _settings(url: URL) -> Mapping[str, str]:
    given = url.query.get("options", ())
    return dict(SETTING.findall(given if isinstance(given, str) else " ".join(given)))
