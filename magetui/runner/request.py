"""What a front end asks of the child process, credentials included: it travels on stdin and nowhere else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from magetui.backends.base import Timeouts

ChangeVerb = Literal["migrate", "rollback", "stamp"]
Direction = Literal["upgrade", "downgrade", "stamp"]


@dataclass(frozen=True, slots=True)
class Scripts:
    """Where the migration scripts are, and how they want to be run."""

    kind: Literal["mage", "alembic"]  # mage: on a connection of ours, without its env.py
    script_location: str
    version_locations: tuple[str, ...]
    version_table: str = "alembic_version"
    version_table_schema: str | None = None
    config_file: str | None = None
    sys_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedStep:
    revision: str
    direction: Direction
    message: str


@dataclass(frozen=True, slots=True)
class Request:
    """One run: what to do, on what it rests (the marker and steps that were consented to), and under what limits."""

    run: int
    verb: ChangeVerb
    url: str = field(repr=False)
    scripts: Scripts
    target: str
    marker: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    mutex_key: int
    result: tuple[str, ...] = ()  # the marker that a finished run leaves
    purge: bool = False  # stamp: replace all rows, since they contradict one another
    timeouts: Timeouts = field(default_factory=Timeouts)
    replace_unknown: str | None = None

    @property
    def application_name(self) -> str:
        """How the run shows in the server's list of sessions."""
        return f"magetui run {self.run}"


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Steps to be rendered as SQL, for a dialect, without a database."""

    scripts: Scripts
    dialect: str
    steps: tuple[PlannedStep, ...]


def encode(request: Request | RenderRequest) -> bytes:
    """The request as one JSON document."""
    return json.dumps({"request": type(request).__name__, **asdict(request)}).encode()


def decode(document: bytes) -> Request | RenderRequest:
    """The request in a document made by `encode`."""
    values: dict[str, Any] = json.loads(document)
    kind = values.pop("request")
    scripts = values.pop("scripts")
    values["scripts"] = Scripts(
        **{
            **scripts,
            "version_locations": tuple(scripts["version_locations"]),
            "sys_path": tuple(scripts["sys_path"]),
        }
    )
    values["steps"] = tuple(PlannedStep(**step) for step in values["steps"])
    if kind == "RenderRequest":
        return RenderRequest(**values)
    values["marker"] = tuple(values["marker"])
    values["result"] = tuple(values["result"])
    values["timeouts"] = Timeouts(**values["timeouts"])
    return Request(**values)
