"""A PostgreSQL URL with another setting of the session, such as search_path or role, for advice that can be copied."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy.engine import URL

from magetui.protocol.redaction import redact_url

SETTING = re.compile(r"(?:-c\s*|--)([\w.]+)\s*=\s*((?:\\.|\S)*)")


def with_setting(url: URL, name: str, value: str) -> str:
    """Return the redacted URL whose libpq `options` set `name` to `value` and keep their other settings.

    libpq separates options by spaces, and a backslash escapes a space or a backslash in a value (PostgreSQL manual,
    34.1.2). The settings `search_path` and `role` take the place of SET search_path and SET ROLE.
    """
    given = url.query.get("options", ())
    text = given if isinstance(given, str) else " ".join(given)
    settings: Mapping[str, str] = {**dict(SETTING.findall(text)), name: re.sub(r"([\s\\])", r"\\\1", value)}
    options = " ".join(f"-c{key}={setting}" for key, setting in settings.items())
    return redact_url(url.update_query_dict({"options": options}).render_as_string())
