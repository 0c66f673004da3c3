"""Verify by replay: compare the live schema with the schema that a revision's scripts build on an empty database.

It runs the decisions that scripts make in code, and both schemas are read from servers. So the comparison is exact:
tables, columns, types, defaults, keys, indexes, constraints and enum types. It does not cover rows, views, functions,
triggers and rights.

SQLite schemas are built in memory. PostgreSQL schemas are built in a scratch schema of the live database, in one
transaction that is never committed, or in a scratch database that the operator names (`backends.postgresql.scratch`).
A replay uses no `env.py` (`runner.replay`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from magetui.engine.errors import MagetuiError, RefusedError, UsageError
from magetui.engine.evidence.recording import record_revisions
from magetui.engine.runs.journals import operator
from magetui.engine.schema.exact import UNREAD, enum_facts, exact_enums, exact_facts, without_schemas
from magetui.engine.schema.facts import Difference, Fact, differences_of, in_order, table_name, type_of
from magetui.engine.schema.snapshot import Overview, Reading, Snapshot, open_reading
from magetui.engine.sql.ddl import parts_of
from magetui.engine.workspace import SCRATCH_VARIABLE, Workspace
from magetui.model.operations import CreateTable, CreateType, RenameTable, UnclearTable
from magetui.protocol import codec
from magetui.protocol.answers import Replayed
from magetui.protocol.requests import ReplayRequest

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain

SCRATCH_DATABASE = (
    f"an empty database that serves no other purpose with --scratch-url (or {SCRATCH_VARIABLE}): the replay can do no "
    "harm there."
)
ADVICE = f"Name {SCRATCH_DATABASE}"


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """A replay before it runs.

    `chosen` tells where the revisions come from: named by the operator, the current revision, or the evidence.
    `mode` tells where the schema is built: in memory, in a scratch schema of the live database, or apart in a scratch
    database, whose URL without credentials is `scratch`.
    """

    revisions: tuple[str, ...]
    chosen: Literal["named", "current", "evidence"]
    steps: tuple[str, ...]  # the revisions to replay, in order
    mode: Literal["memory", "schema", "apart"]
    database: str  # the live database's URL, redacted
    default_schema: str | None  # of the live database
    scratch: str | None = None

    @property
    def needs_consent(self) -> bool:
        """Return True if the replay writes to the live database, even though it rolls everything back."""
        return self.mode == "schema"


@dataclass(frozen=True, slots=True)
class Verification:
    """The differences between the live schema and the replayed schema.

    `unrelated` are tables and types that no revision creates. `unread` are facts that could not be compared because
    another session had locked the table.
    """

    plan: ReplayPlan
    differences: tuple[Difference, ...]
    unrelated: tuple[Fact, ...]
    unread: tuple[Fact, ...]
    tables: int  # how many were compared
    server: str  # version of the server that built the schema
    elapsed_ms: int

    @property
    def equal(self) -> bool:
        return not self.differences


def plan_replay(workspace: Workspace, revision: str | None = None) -> ReplayPlan:
    """Return what `verify` would build: `revision`, else the current revision, else the best match by evidence.

    Nothing is built. Raises `RefusedError` with advice if the replay is not allowed, and the errors of
    `gather_evidence`.
    """
    if workspace.backend.name == "mssql":
        raise RefusedError("magetui cannot replay a chain on SQL Server yet, so it has no schema to compare with.")
    chain = workspace.chain
    chain.upgrade_steps((), "heads")  # raises if the chain is broken
    with open_reading(workspace) as reading:
        overview = reading.overview
        revisions, chosen = _choose_revisions(reading, chain, revision)
        applied = chain.applied(revisions)
        steps = tuple(script.revision for script in reversed(chain.revisions) if script.revision in applied)
        database, default_schema = workspace.target.redacted, overview.server.schema
        plan = partial(ReplayPlan, revisions, chosen, steps, database=database, default_schema=default_schema)
        if workspace.backend.name == "sqlite":
            if workspace.selection.scratch_url is not None:
                raise UsageError("SQLite schemas are replayed in memory: --scratch-url is for PostgreSQL only.")
            _require_inside(reading, chain, steps, "Nothing was replayed.")
            return plan(mode="memory")
        if (scratch := workspace.scratch) is not None:
            if scratch.dialect != workspace.target.dialect:
                raise UsageError(f"The scratch database must be {workspace.target.dialect} too, not {scratch.dialect}.")
            return plan(mode="apart", scratch=scratch.redacted)
        _require_scratch_schema(workspace, overview)
        _require_inside(reading, chain, steps, f"Nothing was replayed. {ADVICE}")
        return plan(mode="schema")


def verify(workspace: Workspace, plan: ReplayPlan, stop: Callable[[], bool] = lambda: False) -> Verification:
    """Build the planned schema, read it, roll it back, and compare it with the live schema.

    The caller must have asked for consent. `stop` is polled during the build. Raises `RefusedError` if a script
    reaches outside of the scratch schema or the target has changed since the plan, and `MagetuiError` if a script
    fails or the live schema cannot be read.
    """
    started = time.monotonic()
    workspace.require_target(plan.database)
    target = workspace.scratch if plan.mode == "apart" else workspace.target
    assert target is not None
    request = ReplayRequest(
        scripts=workspace.project.scripts,
        url="sqlite://" if plan.mode == "memory" else target.text,
        revisions=plan.revisions,
        schema=plan.default_schema,
        apart=plan.mode == "apart",
        operator=operator(),
    )
    replayed = codec.decode(Replayed, workspace.ask_while_held(request, "be replayed", stop))
    _require_built(workspace, plan, replayed)
    with open_reading(workspace) as reading:
        live = reading.snapshot
    return _compare(workspace, plan, replayed, live, started)


# -- choosing the revision


def _choose_revisions(
    reading: Reading, chain: Chain, revision: str | None
) -> tuple[tuple[str, ...], Literal["named", "current", "evidence"]]:
    if revision is not None:
        return ((chain.resolve("head"),) if revision == "head" else chain.resolve_all(revision)), "named"
    state = reading.overview
    table = state.version_table
    if table is not None and table.rows is None:
        raise RefusedError(f"The version table cannot be read: {table.problem} Name the revision: magetui verify R")
    if not chain.unknown(state.current) and (state.current or not state.tables):
        return state.current, "current"
    from magetui.engine.evidence.evidence import gather_evidence
    from magetui.engine.evidence.summary import describe_strangers

    evidence = gather_evidence(reading)
    partial_revision = () if evidence.partial is None else (evidence.partial.revision,)
    candidate = next(iter([*evidence.fits, *evidence.loosely]), evidence.nearest or partial_revision)
    if not evidence.tables or not candidate:
        unknown = chain.unknown(state.current)
        if (elsewhere := describe_strangers(chain, evidence, state.current)) is not None and not state.current:
            raise RefusedError(f"Nothing can be verified here. {elsewhere}")
        why = "The chain does not have the current revision" if unknown else "There is no current revision"
        raise UsageError(f"{why}, and the schema matches none. Name the one to verify: magetui verify R")
    return candidate, "evidence"


# -- checks before and after the replay


def _require_scratch_schema(workspace: Workspace, state: Overview) -> None:
    """Raise `RefusedError` if no scratch schema can be built in the live database."""
    if workspace.selection.read_only:
        raise RefusedError(
            "--read-only is set, and a replay builds a scratch schema in the database, even though it rolls it back. "
            f"{ADVICE}"
        )
    if state.server.read_only is not None:
        raise RefusedError(f"{state.server.read_only} So no scratch schema can be built in it. {ADVICE}")
    if state.server.pooler is not None:
        raise RefusedError(
            "A connection pooler is in between, and a replay needs a session of its own. Connect to the server "
            f"itself: {state.server.pooler.server}. Or name {SCRATCH_DATABASE}"
        )


def _require_inside(reading: Reading, chain: Chain, steps: Iterable[str], advice: str) -> None:
    """Raise `RefusedError` if a recorded operation reaches outside; the child checks again while it executes."""
    workspace, state = reading.workspace, reading.snapshot
    schemas = {table.schema for table in state.tables if table.schema}
    schemas |= {table.schema for table in state.version_tables if table.schema}
    schemas |= {"public", *filter(None, (state.server.schema, workspace.project.scripts.version_table_schema))}
    schemas |= {enum.schema for enum in state.enum_types if enum.schema}
    recordings = record_revisions(workspace, steps)
    for revision, recording in recordings.items():
        for operation in recording.operations("upgrade"):
            outside = next(_outside_references(workspace, asdict(operation), schemas), None)
            if outside is not None:
                raise RefusedError(f"Revision {_label(chain, revision)} reaches {workspace.clean(outside)}. {advice}")


def _outside_references(workspace: Workspace, part: Any, schemas: set[str], key: str = "") -> Iterator[str]:
    """Yield each reference of an operation to the outside: schemas that it names, and references in its SQL text."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _outside_references(workspace, value, schemas, name)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _outside_references(workspace, value, schemas, key)
    elif isinstance(part, str):
        if key in ("schema", "referred_schema"):
            if workspace.backend.name != "sqlite":
                yield f"the schema {part}"
        elif (reference := workspace.backend.outreach(part, schemas)) is not None:
            yield reference


def _require_built(workspace: Workspace, plan: ReplayPlan, replayed: Replayed) -> None:
    at = f"Revision {_label(workspace.chain, replayed.revision)}: " if replayed.revision else ""
    if replayed.refused is not None:
        advice = f" {ADVICE}" if replayed.elsewhere and plan.mode == "schema" else ""
        reason = workspace.clean(replayed.refused)
        raise RefusedError(f"{at}{reason} The replay was ended and rolled back completely.{advice}")
    if replayed.failed is not None:
        where = f" At {replayed.where}." if replayed.where else ""
        hint = f" {replayed.hint}" if replayed.hint else ""
        reason = " ".join(workspace.clean(replayed.failed).split()).rstrip(".")
        raise MagetuiError(f"{at or 'The replay failed: '}{reason}.{where} Nothing of the replay is left.{hint}")


def _label(chain: Chain, revision: str) -> str:
    message = chain.by_id[revision].message if revision in chain.by_id else ""
    return f"{revision} ({message})" if message else revision


# -- comparing


def _names_in_chain(workspace: Workspace, default_schema: str | None) -> frozenset[str]:
    """Return the tables and types that any revision creates, upgrading or downgrading, as far as it was recorded."""
    names = set()
    for recording in record_revisions(workspace, workspace.chain.by_id).values():
        for operation in (*recording.operations("upgrade"), *recording.operations("downgrade")):
            for part in parts_of(operation, workspace.target.dialect):
                match part:
                    case CreateTable(table=name, schema=schema) | UnclearTable(table=name, schema=schema, makes=True):
                        names.add(table_name(name, schema, default_schema))
                    case RenameTable(table=old, new_name=new, schema=schema):
                        names |= {table_name(name, schema, default_schema) for name in (old, new)}
                    case CreateType(name=name, schema=schema):
                        names.add(table_name(name, schema, default_schema))
    return frozenset(names)


def _compare(
    workspace: Workspace, plan: ReplayPlan, replayed: Replayed, live: Snapshot, started: float
) -> Verification:
    """Compare the schemas. Names that the chain does not know matter only if it creates tables in their schema."""
    scripts, default_schema = workspace.project.scripts, plan.default_schema
    unqualified = without_schemas((default_schema, replayed.schema))
    # SQLite keeps a type name as it was typed, in either case.
    types = partial(type_of, dialect="sqlite") if workspace.backend.name == "sqlite" else unqualified
    version_tables = {
        scripts.version_table,
        table_name(scripts.version_table, scripts.version_table_schema, default_schema),
    }
    built_schema = replayed.schema or default_schema
    tables = exact_facts(replayed.tables, built_schema, unqualified, types)
    live_tables = exact_facts(live.details, default_schema, unqualified, types)
    enums, live_enums = exact_enums(replayed.enums, built_schema), exact_enums(live.enum_types, default_schema)
    created = tables.keys() - version_tables
    names = _names_in_chain(workspace, default_schema) | created | enums.keys()
    differences: list[Difference] = []
    unread: set[Fact] = set()
    for name in names - version_tables:
        expected, found = tables.get(name, frozenset()), live_tables.get(name, frozenset())
        hidden = {fact for fact in found if UNREAD in fact.value}
        places = {fact.place for fact in hidden}
        unread |= hidden
        differences += [pair for pair in differences_of(expected, found) if pair[0].place not in places]
    for name in names:
        differences += _enum_differences(name, enums.get(name), live_enums.get(name))
    others = [Fact("table", name) for name in live_tables.keys() - names - version_tables]
    others += [Fact("enum", name) for name in live_enums.keys() - names]
    schemas = {"", *(name.rpartition(".")[0] for name in created)}
    return Verification(
        plan,
        in_order(differences),
        tuple(sorted((fact for fact in others if fact.table.rpartition(".")[0] in schemas), key=str)),
        tuple(sorted(unread, key=str)),
        len(created),
        replayed.server,
        int((time.monotonic() - started) * 1000),
    )


def _enum_differences(
    name: str, expected: tuple[str, ...] | None, live: tuple[str, ...] | None
) -> Iterable[Difference]:
    facts = [frozenset() if values is None else enum_facts(name, values) for values in (expected, live)]
    if facts[0] == facts[1] and expected != live:  # the same values in another order
        facts = [frozenset({Fact("enum-order", name, "", ", ".join(values or ()))}) for values in (expected, live)]
    return differences_of(*facts)
