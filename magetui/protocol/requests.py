"""The requests of the program to its child process. They hold credentials, so they travel on stdin and nowhere else."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import ClassVar

from magetui.model.plan import Loss, OnDisconnect, Plan, PlannedStep, Repair
from magetui.model.schema import SchemaSketch
from magetui.model.server import Timeouts
from magetui.protocol import codec
from magetui.protocol.scripts import Scripts

PARTING = b"."  # written after the request by a starter that leaves the run on purpose
NAME_LIMIT = 63  # bytes that PostgreSQL keeps of an application_name


@dataclass(frozen=True, slots=True)
class ChildRequest:
    """Any request. `request` is its name in JSON."""

    TAG: ClassVar[str] = "request"
    request: ClassVar[str] = ""

    def __init_subclass__(cls, request: str = "") -> None:
        cls.request = request or cls.request  # `slots=True` makes each class a second time, without the argument


@dataclass(frozen=True, slots=True)
class Request(ChildRequest, request="run"):
    """A run: the plan that the operator consented to, and the limits of the run."""

    run: int
    url: str = field(repr=False)
    scripts: Scripts
    plan: Plan
    mutex_key: int
    timeouts: Timeouts = field(default_factory=Timeouts)
    lock_retries: int = 0  # how often to retry after a lock timeout, if nothing was committed
    on_disconnect: OnDisconnect = "continue"
    operator: str = ""  # 'user@host', shown in the server's list of sessions
    takes_tables: bool = False  # whether a script of the plan rebuilds or drops tables
    losses: tuple[Loss, ...] = ()  # what the plan loses, as counted before the run

    def session_name(self, part: str = "") -> str:
        """Return the application name of the migrating session, or of the session `part`: 'watcher' or 'mutex'."""
        return " ".join(word for word in ("magetui run", str(self.run), part, self.operator) if word)[:NAME_LIMIT]


@dataclass(frozen=True, slots=True)
class RenderRequest(ChildRequest, request="render"):
    """Render the SQL of steps for a dialect, without a database."""

    scripts: Scripts
    dialect: str
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class RecordRequest(ChildRequest, request="record"):
    """Record the operations of revisions for a dialect, without a database; `files` are their scripts, in order.

    `sketches` are what a script finds if it inspects the schema: each holds after that many of its operations.
    """

    scripts: Scripts
    dialect: str
    revisions: tuple[str, ...]
    files: tuple[str, ...]
    sketches: tuple[tuple[int, SchemaSketch], ...] = ()


@dataclass(frozen=True, slots=True)
class SeveralRequest(ChildRequest, request="several"):
    """Answer one `RecordRequest` after the other until the pipe ends. Importing the application happens only once."""

    scripts: Scripts


@dataclass(frozen=True, slots=True)
class ReplayRequest(ChildRequest, request="replay"):
    """Replay the chain up to `revisions`. `schema`: the default schema; `apart`: the database is for replays only."""

    scripts: Scripts
    url: str = field(repr=False)
    revisions: tuple[str, ...]
    schema: str | None = None
    apart: bool = False
    operator: str = ""


@dataclass(frozen=True, slots=True)
class RenderRepairRequest(ChildRequest, request="render-repair"):
    """Render the SQL of a repair. `schema` is the SQL of the live tables, for a dialect that needs them (SQLite)."""

    scripts: Scripts
    dialect: str
    repair: Repair
    schema: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeRequest(ChildRequest, request="probe"):
    """Report what env.py connects to and configures. If `url` is set, it replaces the one of the configuration."""

    scripts: Scripts
    url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HeadersRequest(ChildRequest, request="headers"):
    """Run the scripts in `files` behind the barrier, and report the headers that they compute."""

    scripts: Scripts
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckRequest(ChildRequest, request="check"):
    """Run env.py on connections that cannot write, and report what autogenerate would put into a new script."""

    scripts: Scripts
    url: str = field(repr=False)
    operator: str = ""


# Answered at once, on stdout.
Question = RenderRequest | RecordRequest | RenderRepairRequest | ProbeRequest | HeadersRequest | CheckRequest
RUNS_ENV_PY = (ProbeRequest, CheckRequest)  # which may need the credentials of the environment
Asked = Request | Question | ReplayRequest | SeveralRequest


def encode(request: Asked) -> bytes:
    """Return the document's length on a line, then the document. The length tells its end: the pipe stays open."""
    return framed(json.dumps(codec.encode(request)))


def framed(text: str) -> bytes:
    """Return the document's length on a line, then the document."""
    document = text.encode()
    return b"%d\n%s" % (len(document), document)


def receive(descriptor: int) -> Asked:
    """Read the request that `encode` wrote to a pipe, and not one byte more. Raises `EOFError` if the pipe ends."""
    header = b""
    while not header.endswith(b"\n"):
        header += _read(descriptor, 1)
    document = b""
    while len(document) < int(header):
        document += _read(descriptor, int(header) - len(document))
    request: Asked = codec.decode(Asked, json.loads(document))
    return request


def _read(descriptor: int, most: int) -> bytes:
    received = os.read(descriptor, most)
    if not received:
        raise EOFError("the program that started this process ended before it sent a request")
    return received
