"""The verb `config`: the configuration files, each setting with its source, the keys, and the named targets.

The verb connects to no database and runs no command. Its output contains no password.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from magetui.cli.output import answer
from magetui.config.keys import ACTIONS
from magetui.config.options import BY_NAME
from magetui.config.targets import PRODUCTION, NamedTarget
from magetui.protocol.redaction import HIDDEN, redact_url
from magetui.text import formats
from magetui.text.terminal import columns

if TYPE_CHECKING:
    from magetui.config.settings import Settings, Value

TARGET_KEYS = (
    *("name", "source", "url", "description", "production", "read_only", "colour", "password"),
    *("project_path", "config", "section", "mage_path", "python"),
)
FILES = {"yours": "your file", "project": "the project's"}


def show_configuration(settings: Settings, _values: Mapping[str, Any]) -> int:
    """Print the configuration and return 0. An error in a file was reported before."""
    answer(settings, lambda: _document(settings), lambda _text: map(formats.plain, _lines(settings)))
    return 0


def _document(settings: Settings) -> dict[str, Any]:
    return {
        "files": [{"whose": file.whose, "path": str(file.path), "found": file.found} for file in settings.files],
        "target": settings.selection.target,
        "url": _url(settings),
        "settings": {
            name: {"value": _shown(name, setting.value), "source": setting.source}
            for name, setting in settings.origins.items()
        },
        "keys": {action: settings.keys.get(action, key) for action, key in ACTIONS.items()},
        "targets": [_target(target) for target in settings.targets],
        "warnings": list(settings.warnings),
    }


def _target(target: NamedTarget) -> dict[str, Any]:
    url = None if target.url is None else redact_url(target.url)
    facts = asdict(target) | {"source": target.file, "url": url, "password": _password(target)}
    return {key: facts[key] for key in TARGET_KEYS}


def _password(target: NamedTarget) -> str | None:
    """Return where the password of a target comes from. The command is not shown: it may contain a password."""
    if target.password_command is not None:
        return "password_command"
    return "url" if target.url is not None and HIDDEN in redact_url(target.url) else None


def _url(settings: Settings) -> str | None:
    url = settings.selection.url
    return None if url is None else redact_url(url)


def _shown(name: str, value: Any) -> Any:
    return redact_url(value) if BY_NAME[name].kind == "url" and value is not None else value


def _lines(settings: Settings) -> Iterable[str]:
    for file in settings.files:
        yield f"{FILES[file.whose]:<15}{file.path}{'' if file.found else '  (not found)'}"
    yield ""
    yield from columns([("target", *_chosen_target(settings)), *map(_row, settings.origins.items())])
    if settings.keys:
        yield ""
        yield from columns(
            [("key", action, f"{key} instead of {ACTIONS[action]}") for action, key in settings.keys.items()]
        )
    for target in settings.targets:
        yield ""
        yield from _target_lines(target)


def _chosen_target(settings: Settings) -> tuple[str, str]:
    chosen = settings.selection
    if chosen.target is not None:
        return chosen.target, "--target or MAGETUI_TARGET"
    if chosen.url is not None:
        return _url(settings) or "", chosen.url_source
    return "none", "the environment or the project decides: 'magetui diagnose' shows the result"


def _row(origin: tuple[str, Value]) -> tuple[str, str, str]:
    name, setting = origin
    value = _shown(name, setting.value)
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, float):
        value = f"{value:g}"
    return name, "none" if value is None else str(value), setting.source


def _target_lines(target: NamedTarget) -> Iterable[str]:
    marks = [mark for mark, holds in ((PRODUCTION, target.production), ("read-only", target.read_only)) if holds]
    yield "  ".join([f"[targets.{target.name}]", *marks, *([target.description] if target.description else [])])
    values = _target(target)
    password = {"password_command": "from its password_command", "url": "in the URL", None: "none here"}
    rows = [
        ("", name, str(values[name]))
        for name in ("url", "project_path", "config", "section", "mage_path", "python", "colour")
        if values[name]
    ]
    yield from columns([*rows, ("", "password", password[values["password"]]), ("", "source", target.file)])
