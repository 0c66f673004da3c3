"""Each statement by its first words: whom it locks, or that it cannot be told."""

from __future__ import annotations

from dataclasses import replace

from magetui.engine.preview import lock_rules, row_lock_rules
from magetui.engine.preview.known_tables import Known
from magetui.engine.preview.lock_rules import Effect
from magetui.engine.preview.query_locks import is_call, query
from magetui.engine.preview.table_locks import Read, alter_table, create_table
from magetui.engine.preview.tokens import Tokens
from magetui.model.schema import Index

QUERIES = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "("})
# Of the session, or of objects that are not a table's.
SILENT = frozenset(
    """SET RESET SHOW BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE LISTEN NOTIFY UNLISTEN DISCARD DEALLOCATE
    CHECKPOINT""".split()  # noqa: SIM905 - to be read, not scrolled
)
ELSEWHERE = frozenset(
    """TYPE DOMAIN SEQUENCE FUNCTION PROCEDURE ROUTINE AGGREGATE SCHEMA EXTENSION ROLE USER GROUP DATABASE OPERATOR CAST
    COLLATION CONVERSION TEXT SERVER TABLESPACE LANGUAGE TRANSFORM ACCESS EVENT DEFAULT SYSTEM LARGE""".split()  # noqa: SIM905
)
ON_A_TABLE = frozenset({"TRIGGER", "RULE", "POLICY"})


def read(text: str, server: int, known: Known) -> tuple[tuple[Effect, ...], Known]:
    """What the statements of `text` do to tables that others can see, and what is known after them."""
    effects: list[Effect] = []
    for statement in Tokens.of(text).parts(";"):
        if statement:
            made, after = _statement(statement, server, known)
            if any(one.table == "" for one in made):
                made = [lock_rules.cannot_tell("what an unfinished statement does")]
            effects += lock_rules.merged(made, known)
            known = after
    return lock_rules.merged(effects, Known()), known


def _statement(words: Tokens, server: int, known: Known) -> Read:  # noqa: PLR0911 - a case a statement
    first = words.key
    if words.take("TABLE"):
        return query(f"SELECT * FROM {words.rest}", known)
    if first in QUERIES:
        return query(words.rest, known)
    words.step()
    if first == "CREATE":
        return _create(words, known)
    if first == "ALTER":
        return _alter(words, known)
    if first == "DROP":
        return _drop(words, known)
    if first in {"COMMIT", "END"}:
        return [], known.committed()
    if first in SILENT:
        return [], known
    made = _other(first, words, server, known)
    return (made if made is not None else [lock_rules.cannot_tell(f"what {first} runs or locks")]), known


def _other(first: str, words: Tokens, server: int, known: Known) -> list[Effect] | None:  # noqa: PLR0911 - a case a statement
    """None where it cannot be told."""
    match first:
        case "EXPLAIN":
            words.take_any("ANALYZE", "VERBOSE")
            if words.key == "(" and words.ahead().inside().key not in QUERIES:
                words.step()
            return query(words.rest, known)[0] if words.key in QUERIES else None
        case "TRUNCATE":
            words.take("TABLE")
            names = words.names(known)
            return [one for name in names for one in lock_rules.truncate(known, name, cascade=words.has("CASCADE"))]
        case "LOCK":
            return _lock(words, known)
        case "VACUUM" | "ANALYZE" | "CLUSTER":
            return _maintain(first, words, known)
        case "REINDEX":
            return _reindex(words, known)
        case "REFRESH":
            words.take("MATERIALIZED", "VIEW")
            mode = lock_rules.EXCLUSIVE if words.take("CONCURRENTLY") else lock_rules.ACCESS_EXCLUSIVE
            name = words.name(known)
            work: lock_rules.Work = "data" if mode == lock_rules.EXCLUSIVE else "rewrite"
            return [
                lock_rules.on(name, mode, work),
                lock_rules.unnamed(lock_rules.ACCESS_SHARE, f"the tables that {name[1]} reads", "scan"),
            ]
        case "COMMENT":
            return _comment(words, known)
        case "GRANT" | "REVOKE":
            return _grant(words, server, known)
        case "COPY":
            return _copy(words, known)
        case _:
            return None


def _lock(words: Tokens, known: Known) -> list[Effect]:
    words.take("TABLE")
    names = words.names(known)
    mode = lock_rules.ACCESS_EXCLUSIVE
    if words.take("IN"):
        mode = words.until(frozenset({"MODE"})).title().replace(" ", "") + "Lock"
    return [lock_rules.on(name, mode) for name in names]


def _maintain(first: str, words: Tokens, known: Known) -> list[Effect]:
    full = words.has("FULL")
    if words.key == "(":
        words.step()
    words.take_any("FULL", "FREEZE", "VERBOSE", "ANALYZE")
    names = words.names(known) if words else []
    if first == "CLUSTER":
        names = [words.name(known)] if words.take("ON") else names  # CLUSTER index ON table, as it once was written
    if first == "CLUSTER" or full:
        made = [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE, "rewrite") for name in names]
        return made or [lock_rules.unnamed(lock_rules.ACCESS_EXCLUSIVE, "every table, one after the other", "rewrite")]
    note = "reads a sample of the rows" if first == "ANALYZE" else None
    made = [lock_rules.on(name, lock_rules.SHARE_UPDATE_EXCLUSIVE, "scan", note) for name in names]
    return made or [lock_rules.unnamed(lock_rules.SHARE_UPDATE_EXCLUSIVE, "every table, one after the other", "scan")]


def _reindex(words: Tokens, known: Known) -> list[Effect]:
    concurrently = words.has("CONCURRENTLY")
    if words.key == "(":
        words.step()
    kind = words.identifier().upper()
    words.take("CONCURRENTLY")
    mode = lock_rules.SHARE_UPDATE_EXCLUSIVE if concurrently else lock_rules.SHARE
    note = None if concurrently else "builds while writers wait, and readers that want the index"
    if kind == "TABLE":
        return [lock_rules.on(words.name(known), mode, "build", note)]
    if kind == "INDEX":
        path = words.path()
        name = known.table_of_index(path[-2] if len(path) > 1 else None, path[-1])
        if name is None:
            return [lock_rules.unnamed(mode, f"the table of index {path[-1]}", "build")]
        return [lock_rules.on(name, mode, "build", note)]
    return [lock_rules.unnamed(mode, "every table of it, one after the other", "build")]


def _comment(words: Tokens, known: Known) -> list[Effect]:
    words.take("ON")
    words.take_any("MATERIALIZED", "FOREIGN")
    kind = words.identifier().upper()
    if kind in {"TABLE", "VIEW"}:
        return [lock_rules.on(words.name(known), lock_rules.SHARE_UPDATE_EXCLUSIVE)]
    if kind == "COLUMN":
        *schema, table, _ = words.path()
        return [lock_rules.on(known.name(schema[-1] if schema else None, table), lock_rules.SHARE_UPDATE_EXCLUSIVE)]
    if kind in ON_A_TABLE | {"CONSTRAINT"} and words.skip_to("ON") and not words.take("DOMAIN"):
        return [lock_rules.on(words.name(known), lock_rules.ACCESS_SHARE)]
    return []


def _grant(words: Tokens, server: int, known: Known) -> list[Effect]:
    """PostgreSQL 18 is the first to lock the tables whose privileges change."""
    if server < 18 or not words.skip_to("ON") or words.key in ELSEWHERE | {"ALL", "FOREIGN", "PARAMETER"}:
        return []
    words.take("TABLE")
    return [lock_rules.on(name, lock_rules.ACCESS_SHARE) for name in words.names(known)]


def _copy(words: Tokens, known: Known) -> list[Effect]:
    if words.key == "(":
        return query(words.inside().rest, known)[0]
    name = words.name(known)
    columns = [part.identifier() for part in words.inside().parts()] if words.key == "(" else None
    if words.take("FROM"):
        return list(row_lock_rules.insert_rows(known, name, columns))
    return [lock_rules.on(name, lock_rules.ACCESS_SHARE, "scan")]


# -- CREATE


def _create(words: Tokens, known: Known) -> Read:  # noqa: PLR0911, PLR0912 - a case a statement
    replaces = words.take("OR", "REPLACE")
    words.take_any("GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "RECURSIVE", "CONSTRAINT")
    is_stored = words.take("MATERIALIZED")
    foreign = words.take("FOREIGN")
    kind = words.identifier().upper()
    match kind:
        case "DATA" if foreign:
            return [], known
        case "TABLE":
            return create_table(words, known)
        case "INDEX":
            return _create_index(words, known)
        case "VIEW":
            return _create_view(words, known, replaces, is_stored), known
        case "TRIGGER" if words.skip_to("ON"):
            made = [lock_rules.on(words.name(known), lock_rules.SHARE_ROW_EXCLUSIVE)]
            return made + (
                [lock_rules.on(words.name(known), lock_rules.ACCESS_SHARE)] if words.take("FROM") else []
            ), known
        case "RULE" if words.skip_to("TO"):
            return _create_rule(words, known), known
        case "POLICY" if words.skip_to("ON"):
            return _policy(words, known), known
        case "STATISTICS" if words.skip_to("FROM"):
            return [lock_rules.on(words.name(known), lock_rules.SHARE_UPDATE_EXCLUSIVE)], known
        case "PUBLICATION" if not words.has("FOR") or words.has("FOR", "ALL"):
            return [], known
        case "PUBLICATION" if words.skip_to("TABLE"):
            return [lock_rules.on(name, lock_rules.SHARE_UPDATE_EXCLUSIVE) for name in words.names(known)], known
        case "SEQUENCE":
            return _sequence(words, known), known
        case "FUNCTION" | "PROCEDURE" if words.has("LANGUAGE", "SQL"):
            note = "the tables that its body names, while it is checked"
            return [lock_rules.unnamed(lock_rules.ROW_EXCLUSIVE, note)], known
        case _ if kind in ELSEWHERE:
            return [], known
        case _:
            return [lock_rules.cannot_tell(f"what CREATE {kind} locks")], known


def _create_view(words: Tokens, known: Known, replaces: bool, is_stored: bool) -> list[Effect]:
    words.take("IF", "NOT", "EXISTS")
    name = words.name(known)
    made = [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE, note="where there is one to replace")] if replaces else []
    words.skip_to("AS")
    read = query(words.rest, known)[0]
    return made + (read if is_stored else _only_named(read))


def _only_named(effects: list[Effect]) -> list[Effect]:
    """What a query locks when it is written down and not run."""
    return [one if one.unknown else replace(one, work="catalog") for one in effects if not is_call(one)]


def _create_rule(words: Tokens, known: Known) -> list[Effect]:
    made = [lock_rules.on(words.name(known), lock_rules.ACCESS_EXCLUSIVE)]
    if words.skip_to("DO"):
        words.take_any("ALSO", "INSTEAD")
        commands = words.inside() if words.key == "(" else words
        for command in commands.parts(";"):
            if command.key in QUERIES:
                made += _only_named(query(command.rest, known)[0])
    return made


def _policy(words: Tokens, known: Known) -> list[Effect]:
    """A policy's conditions may have queries in them."""
    made = [lock_rules.on(words.name(known), lock_rules.ACCESS_EXCLUSIVE)]
    while words.skip_to("USING", "CHECK"):
        if words.key == "(":
            made += _only_named(query(f"SELECT {words.inside().rest}", known)[0])
    return made


def _sequence(words: Tokens, known: Known) -> list[Effect]:
    if words.skip_to("OWNED") and words.take("BY") and words.key != "NONE":
        *schema, table, _ = words.path()
        return [lock_rules.on(known.name(schema[-1] if schema else None, table), lock_rules.ACCESS_SHARE)]
    return []


def _create_index(words: Tokens, known: Known) -> Read:
    concurrently = words.take("CONCURRENTLY")
    careful = words.take("IF", "NOT", "EXISTS")
    index = None if words.key == "ON" else words.path()[-1]
    words.take("ON")
    name = words.name(known)
    cost = lock_rules.create_index(name, concurrently)
    if index is None:
        return [cost], known
    if careful and known.table_of_index(name[0], index) is not None:
        return [replace(cost, work="catalog", note=None)], known
    return [cost], known.with_index(name, Index(index, ()))


# -- DROP


def _drop(words: Tokens, known: Known) -> Read:  # noqa: PLR0911 - a case a statement
    words.take_any("MATERIALIZED", "FOREIGN")
    kind = words.identifier().upper()
    concurrently = words.take("CONCURRENTLY")
    careful = words.take("IF", "EXISTS")
    cascade = words.has("CASCADE")
    made: list[Effect] = []
    if kind == "TABLE":
        for name in words.names(known):
            if not (careful and known.whole and name not in known.tables):
                made += lock_rules.drop_table(known, name, cascade)
                made = list(lock_rules.merged(made, known))
                known = known.without_table(name)
        return made, known
    if kind == "INDEX":
        for schema, index in words.names(known):
            table = known.table_of_index(schema, index)
            if not (careful and known.whole and table is None):
                made.append(lock_rules.drop_index(known, schema, index, table, concurrently))
                known = known if table is None else known.without_index(table, index)
        return made, known
    if kind == "VIEW":
        made = [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE) for name in words.names(known)]
        return made + (
            [lock_rules.unnamed(lock_rules.ACCESS_EXCLUSIVE, "views that read it")] if cascade else []
        ), known
    if kind in ON_A_TABLE and words.skip_to("ON"):
        return [lock_rules.on(words.name(known), lock_rules.ACCESS_EXCLUSIVE)], known
    if kind == "STATISTICS":
        return [lock_rules.unnamed(lock_rules.SHARE_UPDATE_EXCLUSIVE, "the table of the statistics")], known
    if kind == "SCHEMA" and cascade:
        schema = words.identifier()
        for name in [name for name in known.tables if name[0] == schema]:
            made += [one for one in lock_rules.drop_table(known, name, cascade) if one.table is not None]
            known = known.without_table(name)
        return [
            *made,
            lock_rules.unnamed(lock_rules.ACCESS_EXCLUSIVE, f"whatever else stands in {schema}, or rests on it"),
        ], known
    if kind in ELSEWHERE:
        what = f"tables that rest on the dropped {kind.lower()}"
        return ([lock_rules.unnamed(lock_rules.ACCESS_EXCLUSIVE, what)] if cascade else []), known
    return [lock_rules.cannot_tell(f"what DROP {kind} locks")], known


# -- ALTER


def _alter(words: Tokens, known: Known) -> Read:
    words.take_any("MATERIALIZED", "FOREIGN")
    kind = words.identifier().upper()
    careful = words.take("IF", "EXISTS")
    if kind == "TABLE" and words.key != "ALL":
        name = words.name(known)
        if known.table_of_index(*name) is not None or (careful and known.whole and name not in known.tables):
            return [], known  # an index is renamed in its table's name's place
        return alter_table(words, name, known)
    made: list[Effect] | None = None
    match kind:
        case "VIEW":
            made = [lock_rules.on(words.name(known), lock_rules.ACCESS_EXCLUSIVE)]
        case "INDEX" if words.skip_to("RENAME", "SET", "RESET") and words.key != "TABLESPACE":
            made = []
        case "TYPE" if words.has("CASCADE"):
            made = [lock_rules.unnamed(lock_rules.ACCESS_EXCLUSIVE, "tables of that type")]
        case "DOMAIN" if words.has("VALIDATE") or words.has("SET", "NOT") or words.has("ADD"):
            checked = [lock_rules.unnamed(lock_rules.SHARE, "tables with a column of the domain", "scan")]
            made = [] if words.has("NOT", "VALID") else checked
        case "SEQUENCE":
            made = _sequence(words, known)
        case "EXTENSION":
            made = None
        case _ if kind in ON_A_TABLE and words.skip_to("ON"):
            made = _policy(words, known)
        case _ if kind in ELSEWHERE:
            made = []
    return (made if made is not None else [lock_rules.cannot_tell(f"what ALTER {kind} locks")]), known
