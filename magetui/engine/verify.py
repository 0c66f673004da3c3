"""Verify by replay: the schema that a current revision should have, built from nothing, against the live one.

It is the strongest check there is of a current revision. What scripts decide in code is decided there too, and both schemas are
read from servers, so that they are compared to the letter: tables, columns, types, defaults, keys, indexes, constraints
and enum types. Rows, views, functions, triggers and rights are not looked at.

SQLite's is built in memory. PostgreSQL's is built in a scratch schema of the live database, in one transaction that is
never committed, or in a database that was named for it; see `backends.postgresql_scratch`. It rests on no `env.py`; see
`runner.replay`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from magetui.engine.errors import MagetuiError, RefusedError, UsageError
from magetui.engine.evidence.recording import Recording, record_revisions
from magetui.engine.revisions.graph import Chain
from magetui.engine.runs.journals import operator
from magetui.engine.schema.exact import UNREAD, enum_facts, exact_enums, exact_facts, without_schemas
from magetui.engine.schema.facts import Fact, table_name, type_of
from magetui.engine.schema.snapshot import DatabaseState, read_state
from magetui.engine.sql.ddl import operations_of
from magetui.engine.workspace import SCRATCH_VARIABLE, Workspace
from magetui.model.operations import CreateTable, CreateType, ExecuteSql, Operation, RenameTable, UnclearTable
from magetui.model.schema import EnumType, TableDetail
from magetui.protocol import codec
from magetui.protocol.replayed import Replayed
from magetui.protocol.requests import ReplayRequest

ELSEWHERE = (
    f"Give an empty database that is there for nothing else with --scratch-url (or {SCRATCH_VARIABLE}): there it can "
    "do no harm."
)
WAIT = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A replay as it would be done.

    `chosen`: where the revisions come from. `place`: in memory, in a scratch schema of the live database, or in a
    database apart, `scratch` being its URL without credentials.
    """

    revisions: tuple[str, ...]
    chosen: Literal["named", "current", "evidence"]
    steps: tuple[str, ...]  # the revisions that are replayed, in order
    place: Literal["memory", "schema", "apart"]
    database: str  # the live one's URL, redacted
    usual: str | None  # the schema where unqualified names go in it
    scratch: str | None = None

    @property
    def needs_consent(self) -> bool:
        """Whether it writes, even if it takes it back, where live data is."""
        return self.place == "schema"


@dataclass(frozen=True, slots=True)
class Verification:
    """How the live schema differs from the replayed one.

    `differences`: each fact with whether it is missing; else it is too much. `beside`: what the chain knows nothing
    of. `unread`: what could not be compared, since somebody had the table locked.
    """

    rehearsal: Rehearsal
    differences: tuple[tuple[Fact, bool], ...]
    beside: tuple[Fact, ...]
    unread: tuple[Fact, ...]
    tables: int  # that were compared
    server: str  # the version that the schema was built on
    elapsed_ms: int

    @property
    def equal(self) -> bool:
        return not self.differences


def rehearse(workspace: Workspace, revision: str | None = None) -> Rehearsal:
    """What `verify` would do: for `revision`, else for the current revision, else for what the schema looks like. Builds nothing.

    Raises `RefusedError` where it may not be done, with what would help; and as `gather_evidence`.
    """
    if workspace.backend.name == "mssql":
        raise RefusedError("A chain is not replayed on SQL Server yet, so there is nothing to compare its schema with.")
    chain = workspace.chain
    chain.upgrade_steps((), "heads")  # a broken chain raises here
    database = workspace.target.redacted
    state = read_state(workspace, workspace.project)
    revisions, chosen = _chosen(workspace, chain, state, revision)
    steps = tuple(one.revision for one in reversed(chain.revisions) if one.revision in chain.applied(revisions))
    if workspace.backend.name == "sqlite":
        if workspace.selection.scratch_url is not None:
            raise UsageError("A schema of SQLite's is replayed in memory: --scratch-url is for PostgreSQL.")
        _require_inside(workspace, chain, steps, state, "Nothing was replayed.")
        return Rehearsal(revisions, chosen, steps, "memory", database, state.server.schema)
    scratch = workspace.scratch
    if scratch is not None:
        if scratch.dialect != workspace.target.dialect:
            raise UsageError(f"The scratch database has to be {workspace.target.dialect} too, not {scratch.dialect}.")
        return Rehearsal(revisions, chosen, steps, "apart", database, state.server.schema, scratch.redacted)
    if workspace.selection.read_only:
        raise RefusedError(
            "--read-only is set, and a replay builds a scratch schema in the database, though it takes it back. "
            f"{ELSEWHERE}"
        )
    if state.server.read_only is not None:
        raise RefusedError(f"{state.server.read_only} So no scratch schema can be built in it. {ELSEWHERE}")
    if state.server.pooler is not None:
        raise RefusedError(
            "A connection pooler is in between, and a replay sets up a session of its own. Connect to the server "
            f"itself: {state.server.pooler.server}. {ELSEWHERE.replace('Give', 'Or give')}"
        )
    _require_inside(workspace, chain, steps, state, f"Nothing was replayed. {ELSEWHERE}")
    return Rehearsal(revisions, chosen, steps, "schema", database, state.server.schema)


def verify(workspace: Workspace, rehearsal: Rehearsal, stop: WAIT = lambda: False) -> Verification:
    """Build it, read it, take it back, and compare. Consent is the caller's to have asked for.

    `stop` is asked while it is built. Raises `RefusedError` where a script reaches outside of the scratch place, or the
    database is another one by now, `MagetuiError` where one fails, or the live schema cannot be read.
    """
    started = time.monotonic()
    workspace.require_target(rehearsal.database)
    target = workspace.scratch if rehearsal.place == "apart" else workspace.target
    assert target is not None
    request = ReplayRequest(
        scripts=workspace.project.scripts,
        url="sqlite://" if rehearsal.place == "memory" else target.text,
        revisions=rehearsal.revisions,
        schema=rehearsal.usual,
        apart=rehearsal.place == "apart",
        operator=operator(),
    )
    replayed = codec.decode(Replayed, workspace.ask_while_held(request, "be replayed", stop))
    _require_built(workspace, rehearsal, replayed)
    with workspace.reading() as connection:
        details = workspace.backend.table_details(connection)
        enums = workspace.backend.enum_types(connection)
    recordings = record_revisions(workspace, workspace.chain.by_id)
    known = _known_names(recordings.values(), workspace.target.dialect, rehearsal.usual)
    compared = _Compared(workspace, rehearsal.usual, replayed)
    missing, extra, beside, unread = compared.against(details, enums, known)
    differences = [*((fact, True) for fact in missing), *((fact, False) for fact in extra)]
    return Verification(
        rehearsal,
        tuple(sorted(differences, key=lambda one: (one[0].table, not one[1], str(one[0])))),
        tuple(sorted(beside, key=str)),
        tuple(sorted(unread, key=str)),
        compared.tables,
        replayed.server,
        int((time.monotonic() - started) * 1000),
    )


# -- which revision


def _chosen(
    workspace: Workspace, chain: Chain, state: DatabaseState, revision: str | None
) -> tuple[tuple[str, ...], Literal["named", "current", "evidence"]]:
    if revision is not None:
        found = chain.resolve(revision)
        return (() if found == "base" else (found,)), "named"
    table = state.version_table
    if table is not None and table.rows is None:
        raise RefusedError(f"The version table cannot be read: {table.problem} Name the revision: magetui verify R")
    if not chain.unknown(state.current) and (state.current or not state.tables):
        return state.current, "current"
    from magetui.engine.evidence.evidence import gather_evidence

    evidence = gather_evidence(workspace)
    half = () if evidence.half is None else (evidence.half.revision,)
    candidate = next(iter([*evidence.fits, *evidence.loosely]), evidence.nearest or half)
    if not evidence.tables or not candidate:
        raise UsageError(
            "The current revision names no revision of the chain. Name the one to verify: magetui verify R"
        )
    return candidate, "evidence"


# -- whether it may be replayed


def _require_inside(
    workspace: Workspace, chain: Chain, steps: Iterable[str], state: DatabaseState, instead: str
) -> None:
    """Refuse a chain whose scripts reach outside of a scratch place, as far as their recorded operations tell.

    What cannot be told beforehand is looked at again where it is executed.
    """
    schemas = {one.schema for one in state.tables if one.schema}
    schemas |= {one.schema for one in state.version_tables if one.schema}
    schemas |= {"public", *filter(None, (state.server.schema, workspace.project.scripts.version_table_schema))}
    with workspace.reading() as connection:
        schemas |= {one.schema for one in workspace.backend.enum_types(connection) if one.schema}
    recordings = record_revisions(workspace, steps)
    for revision, recording in recordings.items():
        for operation in recording.operations("upgrade"):
            reached = next(_reached(workspace, asdict(operation), schemas), None)
            if reached is not None:
                raise RefusedError(f"Revision {_named(chain, revision)} reaches {workspace.clean(reached)}. {instead}")


def _reached(workspace: Workspace, part: Any, schemas: set[str], key: str = "") -> Iterator[str]:
    """What an operation reaches outside, one after the other: by schemas that it names, and by its texts."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield from _reached(workspace, value, schemas, name)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _reached(workspace, value, schemas, key)
    elif isinstance(part, str):
        if key in ("schema", "referred_schema"):
            if workspace.backend.name != "sqlite":
                yield f"the schema {part}"
        elif (found := workspace.backend.outreach(part, schemas)) is not None:
            yield found


def _require_built(workspace: Workspace, rehearsal: Rehearsal, replayed: Replayed) -> None:
    at = f"Revision {_named(workspace.chain, replayed.revision)}: " if replayed.revision else ""
    if replayed.refused is not None:
        instead = f" {ELSEWHERE}" if replayed.elsewhere and rehearsal.place == "schema" else ""
        said = workspace.clean(replayed.refused)
        raise RefusedError(f"{at}{said} The replay was ended, and nothing of it is left.{instead}")
    if replayed.failed is not None:
        where = f" At {replayed.where}." if replayed.where else ""
        hint = f" {replayed.hint}" if replayed.hint else ""
        said = " ".join(workspace.clean(replayed.failed).split()).rstrip(".")
        raise MagetuiError(f"{at or 'The replay failed: '}{said}.{where} Nothing of the replay is left.{hint}")


def _named(chain: Chain, revision: str) -> str:
    message = chain.by_id[revision].message if revision in chain.by_id else ""
    return f"{revision} ({message})" if message else revision


# -- comparing


def _known_names(recordings: Iterable[Recording], dialect: str, usual: str | None) -> frozenset[str]:
    """The tables and types that any revision makes, either way, as far as its operations tell."""
    operations: list[Operation] = []
    for recording in recordings:
        for operation in (*recording.operations("upgrade"), *recording.operations("downgrade")):
            is_sql = isinstance(operation, ExecuteSql)
            operations += operations_of(operation.sql, dialect) if is_sql else (operation,)  # type: ignore[attr-defined]
    made = set()
    for one in operations:
        if isinstance(one, CreateTable) or (isinstance(one, UnclearTable) and one.makes):
            made.add(table_name(one.table, one.schema, usual))
        elif isinstance(one, RenameTable):
            made |= {table_name(name, one.schema, usual) for name in (one.table, one.new_name)}
        elif isinstance(one, CreateType):
            made.add(table_name(one.name, one.schema, usual))
    return frozenset(made)


class _Compared:
    """The replayed schema, to be compared with a live one."""

    def __init__(self, workspace: Workspace, usual: str | None, replayed: Replayed) -> None:
        scripts = workspace.project.scripts
        self._usual = usual
        self._spelled = without_schemas((usual, replayed.schema))
        # SQLite keeps a type as it was typed, in either case.
        self._types = partial(type_of, dialect="sqlite") if workspace.backend.name == "sqlite" else self._spelled
        self._wanted = exact_facts(replayed.tables, replayed.schema or usual, self._spelled, self._types)
        self._wanted_enums = exact_enums(replayed.enums, replayed.schema or usual)
        self._version_tables = {
            scripts.version_table,
            table_name(scripts.version_table, scripts.version_table_schema, usual),
        }
        self._forget_version_tables(self._wanted)
        self.tables = len(self._wanted)

    def _forget_version_tables(self, tables: dict[str, frozenset[Fact]]) -> None:
        for name in self._version_tables:
            tables.pop(name, None)

    def against(
        self, details: Iterable[TableDetail], enums: Iterable[EnumType], known: frozenset[str]
    ) -> tuple[set[Fact], set[Fact], set[Fact], set[Fact]]:
        """What is missing there, what is too much, what is beside it, and what could not be read."""
        live = exact_facts(details, self._usual, self._spelled, self._types)
        self._forget_version_tables(live)
        missing: set[Fact] = set()
        extra: set[Fact] = set()
        beside: set[Fact] = set()
        unread: set[Fact] = set()
        for name in {*self._wanted, *live}:
            if name not in self._wanted and not self._is_of_chain(name, known):
                beside |= {Fact("table", name)} if self._is_near(name) else set()
                continue
            wanted, there = self._wanted.get(name, frozenset()), live.get(name, frozenset())
            hidden = {fact for fact in there if UNREAD in fact.value}
            places = {fact.place for fact in hidden}
            unread |= hidden
            missing |= {fact for fact in wanted - there if fact.place not in places}
            extra |= {fact for fact in there - wanted if fact.place not in places}
        self._compare_enums(exact_enums(enums, self._usual), known, missing, extra, beside)
        return missing, extra, beside, unread

    def _compare_enums(
        self,
        live: Mapping[str, tuple[str, ...]],
        known: frozenset[str],
        missing: set[Fact],
        extra: set[Fact],
        beside: set[Fact],
    ) -> None:
        for name in {*self._wanted_enums, *live}:
            wanted, there = self._wanted_enums.get(name), live.get(name)
            if wanted is None and not self._is_of_chain(name, known):
                beside |= {Fact("enum", name)} if self._is_near(name) else set()
                continue
            wanted_facts = enum_facts(name, wanted) if wanted is not None else frozenset()
            facts = enum_facts(name, there) if there is not None else frozenset()
            missing |= wanted_facts - facts
            extra |= facts - wanted_facts
            if wanted and there and wanted != there and sorted(wanted) == sorted(there):
                missing.add(Fact("enum-order", name, "", ", ".join(wanted)))
                extra.add(Fact("enum-order", name, "", ", ".join(there)))

    def _is_of_chain(self, name: str, known: frozenset[str]) -> bool:
        return name in known or name in self._wanted or name in self._wanted_enums

    def _is_near(self, name: str) -> bool:
        """Whether it is in a schema that the chain works in; what is elsewhere is no concern of it."""
        schema = name.rpartition(".")[0]
        return not schema or any(other.startswith(f"{schema}.") for other in self._wanted)
