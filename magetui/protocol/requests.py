"""What a front end asks of the child process, credentials included: it travels on stdin and nowhere else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from magetui.model import operations
from magetui.model.plan import ChangeVerb, OnDisconnect, PlannedStep, Repair, RepairStep
from magetui.model.server import Timeouts

PARTING = b"."  # after the request: the starter leaves the run to itself, and means to
NAME_LIMIT = 63  # bytes that PostgreSQL keeps of an application_name


@dataclass(frozen=True, slots=True)
class Scripts:
    """Where the migration scripts are, and how they want to be run."""

    kind: Literal["mage", "alembic"]  # mage: on a connection of ours, without its env.py
    script_location: str
    version_locations: tuple[str, ...]
    version_table: str = "alembic_version"
    version_table_schema: str | None = None
    config_file: str | None = None
    toml_file: str | None = None  # pyproject.toml, where [tool.alembic] of it says where the scripts are
    section: str = "alembic"  # of the config_file
    prepended: tuple[str, ...] = ()  # prepend_sys_path of the toml_file, for an Alembic that cannot read it
    sys_path: tuple[str, ...] = ()
    several: bool = False  # env.py works on other databases too: they are passed over
    arguments: tuple[tuple[str, str], ...] = ()  # what env.py hands to upgrade() and downgrade(), for this database
    naming: tuple[tuple[str, str], ...] = ()  # the naming convention of env.py's target_metadata


@dataclass(frozen=True, slots=True)
class Request:
    """One run: what to do, on what it rests (the current revision and steps that were consented to), and under what limits."""

    run: int
    verb: ChangeVerb
    url: str = field(repr=False)
    scripts: Scripts
    target_revision: str
    current: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    mutex_key: int
    result: tuple[str, ...] = ()  # the current revision that a finished run leaves
    purge: bool = False  # stamp: replace all rows, since they contradict one another
    timeouts: Timeouts = field(default_factory=Timeouts)
    replace_unknown: str | None = None
    lock_retries: int = 0  # how often to begin anew after a lock timeout that left nothing behind
    on_disconnect: OnDisconnect = "continue"
    operator: str = ""  # 'user@host', for whoever looks at the server's sessions
    repair: Repair | None = None  # of 'finish' and 'undo'
    create_schema: str | None = None  # before the first step, where it is not there

    @property
    def application_name(self) -> str:
        """How the run shows in the server's list of sessions."""
        return self.name_of("")

    def name_of(self, part: str) -> str:
        """How a session of the run's own that is not the migration's shows: its 'watcher', its 'mutex'."""
        return " ".join(word for word in ("magetui run", str(self.run), part, self.operator) if word)[:NAME_LIMIT]


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Steps to be rendered as SQL, for a dialect, without a database."""

    scripts: Scripts
    dialect: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """Revisions whose operations are to be recorded, for a dialect, without a database: ids and, in step, files."""

    scripts: Scripts
    dialect: str
    revisions: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """A chain to be replayed from nothing up to `revisions`, in a scratch place lent by the server of `url`.

    `schema` and `apart`: see `backends.scratch.Place`.
    """

    scripts: Scripts
    url: str = field(repr=False)
    revisions: tuple[str, ...]
    schema: str | None = None
    apart: bool = False
    operator: str = ""


@dataclass(frozen=True, slots=True)
class RenderRepairRequest:
    """A repair whose SQL is wanted; `schema` is the SQL of the tables that are there, for a dialect that needs them."""

    scripts: Scripts
    dialect: str
    repair: Repair
    schema: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """What does env.py connect to and configure? A `url` stands in for the one of the configuration."""

    scripts: Scripts
    url: str | None = field(default=None, repr=False)


Question = RenderRequest | RecordRequest | RenderRepairRequest | ProbeRequest  # answered at once, on stdout
Asked = Request | Question | ReplayRequest


def encode(request: Asked) -> bytes:
    """The request as one JSON document after a line with its length: what follows on the pipe is no part of it."""
    values = {"request": type(request).__name__, **asdict(request)}
    repair = getattr(request, "repair", None)
    if repair is not None:  # what kind of operation each is, is not among its fields
        steps = [{**asdict(step), "operation": operations.encode_one(step.operation)} for step in repair.steps]
        values["repair"] = {**asdict(repair), "steps": steps}
    document = json.dumps(values).encode()
    return b"%d\n%s" % (len(document), document)


def receive(descriptor: int) -> Asked:
    """The request that `encode` wrote, read from a pipe, and not a byte more. Raises `EOFError`."""
    header = b""
    while not header.endswith(b"\n"):
        header += _some(descriptor, 1)
    document = b""
    while len(document) < int(header):
        document += _some(descriptor, int(header) - len(document))
    return decode(document)


def _some(descriptor: int, most: int) -> bytes:
    received = os.read(descriptor, most)
    if not received:
        raise EOFError("whoever began the run ended before saying what to do")
    return received


def decode(document: bytes) -> Asked:
    """The request in a JSON document."""
    values: dict[str, Any] = json.loads(document)
    kind = values.pop("request")
    scripts = values.pop("scripts")
    values["scripts"] = Scripts(
        **{
            **scripts,
            "version_locations": tuple(scripts["version_locations"]),
            "sys_path": tuple(scripts["sys_path"]),
            "prepended": tuple(scripts["prepended"]),
            "arguments": tuple((name, value) for name, value in scripts["arguments"]),
        }
    )
    if kind == "ProbeRequest":
        return ProbeRequest(**values)
    if kind == "RecordRequest":
        return RecordRequest(**{**values, "revisions": tuple(values["revisions"]), "files": tuple(values["files"])})
    if kind == "ReplayRequest":
        return ReplayRequest(**{**values, "revisions": tuple(values["revisions"])})
    if values.get("repair") is not None:
        values["repair"] = _repair(values["repair"])
    if kind == "RenderRepairRequest":
        return RenderRepairRequest(**{**values, "schema": tuple(values["schema"])})
    values["steps"] = tuple(PlannedStep(**step) for step in values["steps"])
    if kind == "RenderRequest":
        return RenderRequest(**values)
    values["current"] = tuple(values["current"])
    values["result"] = tuple(values["result"])
    values["timeouts"] = Timeouts(**values["timeouts"])
    return Request(**values)


def _repair(values: dict[str, Any]) -> Repair:
    steps = (RepairStep(**{**one, "operation": operations.decode_one(one["operation"])}) for one in values["steps"])
    return Repair(values["revision"], values["file"], tuple(steps))
