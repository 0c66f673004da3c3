"""CREATE TABLE and ALTER TABLE: their parts and actions, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from magetui.engine.preview import lock_rules
from magetui.engine.preview.known_tables import Known, Name
from magetui.engine.preview.lock_rules import Effect
from magetui.engine.preview.query_locks import query
from magetui.engine.preview.tokens import Tokens
from magetui.model.schema import Column, ForeignKey

# What may follow a column's type, and end its default.
COLUMN_CLAUSES = frozenset(
    """DEFAULT NOT NULL CONSTRAINT CHECK UNIQUE PRIMARY REFERENCES GENERATED COLLATE STORAGE COMPRESSION DEFERRABLE
    INITIALLY""".split()  # noqa: SIM905 - to be read, not scrolled
)
CONSTRAINTS = frozenset({"CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "EXCLUDE", "FOREIGN"})

Read = tuple[list[Effect], Known]  # what it does, and what is known after it


def create_table(words: Tokens, known: Known) -> Read:
    careful = words.take("IF", "NOT", "EXISTS")
    name = words.name(known)
    if careful and name in known.tables:
        return [], known
    made: list[Effect] = []
    keys: list[ForeignKey] = []
    if words.take("PARTITION", "OF"):
        made.append(lock_rules.on(words.name(known), lock_rules.ACCESS_EXCLUSIVE))
        made.append(lock_rules.unnamed(lock_rules.ACCESS_EXCLUSIVE, "the parent's default partition", "scan"))
    words.take("OF")
    if words.key == "(":
        for part in words.inside().parts():
            if part.take("LIKE"):
                made.append(lock_rules.on(part.name(known), lock_rules.ACCESS_SHARE))
            elif (key := _foreign_key(part, known)) is not None:
                keys.append(key)
    if words.take("INHERITS"):
        made += [lock_rules.on(one, lock_rules.SHARE_UPDATE_EXCLUSIVE) for one in words.inside().names(known)]
    elif words.skip_to("AS"):
        made += query(words.rest, known)[0]
    made += lock_rules.create_table(name, [known.name(key.referred_schema, key.referred_table) for key in keys])
    known = known.with_table(name)
    for key in keys:
        known = known.with_foreign_key(name, key)
    return made, known


def _foreign_key(definition: Tokens, known: Known) -> ForeignKey | None:
    """The foreign key in a column's or a table's part of CREATE TABLE or ADD; None if there is none."""
    name = definition.identifier() if definition.take("CONSTRAINT") else None
    if definition.take("FOREIGN", "KEY"):
        columns = [part.identifier() for part in definition.inside().parts()]
    elif definition.key in CONSTRAINTS:
        return None
    else:
        columns = [definition.identifier()]
    if not definition.skip_to("REFERENCES"):
        return None
    schema, table = definition.name(known)
    there = [part.identifier() for part in definition.inside().parts()] if definition.key == "(" else []
    on_delete = None
    if definition.skip_to("DELETE"):
        on_delete = f"SET {definition.key}" if definition.take("SET") else definition.key
    return ForeignKey(name, tuple(columns), schema, table, tuple(there), on_delete)


def alter_table(words: Tokens, name: Name, known: Known) -> Read:
    """The strongest lock of all actions is taken at once (ALTER TABLE, description, in the manual)."""
    made: list[Effect] = []
    before = known
    for action in words.parts():
        effects, known = _action(action, name, before, known)
        made += effects
    return made, known


def _action(action: Tokens, name: Name, before: Known, known: Known) -> Read:  # noqa: PLR0911 - a case an action
    """One action: what it costs is told from `before` the statement, what is known after it adds up."""
    verb = action.identifier().upper()
    match verb:
        case "ADD":
            return _add(action, name, known)
        case "DROP" if action.take("CONSTRAINT"):
            action.take("IF", "EXISTS")
            constraint = action.identifier()
            made = lock_rules.drop_constraint(before, name, constraint, None, action.has("CASCADE"))
            return list(made), known.without_constraint(name, constraint)
        case "DROP":
            action.take("COLUMN")
            action.take("IF", "EXISTS")
            column = action.identifier()
            made = lock_rules.drop_column(before, name, column, action.has("CASCADE"))
            return list(made), known.without_column(name, column)
        case "ALTER" if not action.take("CONSTRAINT"):
            action.take("COLUMN")
            return _alter_column(action, name, action.identifier(), before, known)
        case "RENAME":
            return [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)], _renamed(action, name, known)
        case "SET" if action.take("SCHEMA"):
            moved = known.with_name(name, (action.identifier(), name[1]))
            return [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)], moved
        case _:
            return list(_setting(verb, action, name, before)), known


def _setting(verb: str, action: Tokens, name: Name, known: Known) -> Iterator[Effect]:
    """The actions after which the same is known of the table as before."""
    match verb:
        case "VALIDATE":
            yield from _validate(action, name, known)
        case "ENABLE" | "DISABLE":
            action.take_any("REPLICA", "ALWAYS")
            yield lock_rules.on(
                name, lock_rules.SHARE_ROW_EXCLUSIVE if action.key == "TRIGGER" else lock_rules.ACCESS_EXCLUSIVE
            )
        case "CLUSTER":
            yield lock_rules.on(name, lock_rules.SHARE_UPDATE_EXCLUSIVE)
        case "SET" if action.take("WITHOUT", "CLUSTER"):
            yield lock_rules.on(name, lock_rules.SHARE_UPDATE_EXCLUSIVE)
        case "SET" | "RESET" if action.key == "(":
            strong = action.has("USER_CATALOG_TABLE")
            yield lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE if strong else lock_rules.SHARE_UPDATE_EXCLUSIVE)
        case "SET" if action.key in {"LOGGED", "UNLOGGED", "TABLESPACE", "ACCESS"}:
            yield lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE, "rewrite", "unless it is so already")
        case "INHERIT" | "NO" if verb == "INHERIT" or action.take("INHERIT"):
            yield lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)
            mode = lock_rules.SHARE_UPDATE_EXCLUSIVE if verb == "INHERIT" else lock_rules.ACCESS_SHARE
            yield lock_rules.on(action.name(known), mode)
        case "ATTACH" | "DETACH":
            action.take("PARTITION")
            partition = action.name(known)
            weak = verb == "ATTACH" or action.has("CONCURRENTLY")
            yield lock_rules.on(name, lock_rules.SHARE_UPDATE_EXCLUSIVE if weak else lock_rules.ACCESS_EXCLUSIVE)
            yield lock_rules.on(partition, lock_rules.ACCESS_EXCLUSIVE, "scan" if verb == "ATTACH" else "catalog")
            yield lock_rules.unnamed(lock_rules.ACCESS_EXCLUSIVE, "the default partition", "scan")
        case "ALTER" | "SET" | "OWNER" | "REPLICA" | "OF" | "NOT" | "FORCE" | "NO" | "OPTIONS":
            yield lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)
        case _:
            yield lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)
            yield lock_rules.cannot_tell(f"what ALTER TABLE … {verb} does more")


def _validate(action: Tokens, name: Name, known: Known) -> Iterator[Effect]:
    action.take("CONSTRAINT")
    constraint = action.identifier()
    yield lock_rules.on(name, lock_rules.SHARE_UPDATE_EXCLUSIVE, "scan", "checks every row beside readers and writers")
    for key, other in known.referred(name):
        if key.name == constraint:
            yield lock_rules.on(other, lock_rules.ROW_SHARE, "scan", "its keys are looked up")
    if name not in known.tables:
        yield lock_rules.unnamed(
            lock_rules.ROW_SHARE, f"the table that {constraint} refers to, if it is a foreign key", "scan"
        )


def _renamed(action: Tokens, name: Name, known: Known) -> Known:
    if action.take("TO"):
        return known.with_name(name, (name[0], action.identifier()))
    if action.take("CONSTRAINT"):
        return _renamed_constraint(action, name, known)
    action.take("COLUMN")
    old = action.identifier()
    action.take("TO")
    return known.with_column_name(name, old, action.identifier())


def _renamed_constraint(action: Tokens, name: Name, known: Known) -> Known:
    old = action.identifier()
    action.take("TO")
    new = action.identifier()
    keys = [replace(key, name=new) for key, _ in known.referred(name) if key.name == old]
    if not keys:
        return known
    return known.without_constraint(name, old).with_foreign_key(name, keys[0])


def _add(action: Tokens, name: Name, known: Known) -> Read:
    if action.key not in CONSTRAINTS:
        return _add_column(action, name, known)
    valid = not action.has("NOT", "VALID") and not action.has("NOT", "ENFORCED")
    key = _foreign_key(action.ahead(), known)
    if key is not None:
        referred = known.name(key.referred_schema, key.referred_table)
        return list(lock_rules.add_foreign_key(name, referred, valid)), known.with_foreign_key(name, key)
    if action.take("CONSTRAINT"):
        action.identifier()
    if action.key in {"CHECK", "NOT"}:
        return [lock_rules.add_check(name, valid)], known
    if action.has("USING", "INDEX"):
        primary = action.key == "PRIMARY"
        note = "looks for nulls, unless the columns are NOT NULL" if primary else None
        return [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE, "scan" if primary else "catalog", note)], known
    return [lock_rules.add_index_constraint(name)], known


def _add_column(action: Tokens, name: Name, known: Known) -> Read:
    action.take("COLUMN")
    careful = action.take("IF", "NOT", "EXISTS")
    definition = action.ahead()
    column = action.identifier()
    if careful and known.column_type(name, column) is not None:
        return [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)], known
    kind = action.until(COLUMN_CLAUSES)
    default, nullable = None, True
    made: list[Effect] = []
    while action:
        if action.take("NOT", "NULL"):
            nullable = False
        elif action.take("DEFAULT") or action.key == "GENERATED":
            default = action.until(COLUMN_CLAUSES)
        elif action.key in {"UNIQUE", "PRIMARY"}:
            made.append(lock_rules.add_index_constraint(name))
            action.step()
        elif action.key == "CHECK":
            made.append(lock_rules.add_check(name))
            action.step()
        else:
            action.step()
    made.append(lock_rules.add_column(name, kind, default, nullable))
    known = known.with_column(name, Column(column, kind, nullable, default))
    key = _foreign_key(definition, known)
    if key is not None:
        filled = default is not None and default.upper() != "NULL"
        made += lock_rules.add_foreign_key(name, known.name(key.referred_schema, key.referred_table), valid=filled)
        known = known.with_foreign_key(name, key)
    return made, known


def _alter_column(action: Tokens, name: Name, column: str, before: Known, known: Known) -> Read:
    if action.take("SET", "DATA", "TYPE") or action.take("TYPE"):
        kind = action.until(frozenset({"COLLATE", "USING"}))
        using = action.rest if action.skip_to("USING") else None
        made = list(lock_rules.set_type(before, name, column, kind, using))
        nullable = not known.is_not_null(name, column)
        return made, known.with_column(name, Column(column, kind, nullable))
    if action.take("SET", "NOT", "NULL"):
        kind = known.column_type(name, column) or ""
        made = [lock_rules.set_not_null(before, name, column)]
        return made, known.with_column(name, Column(column, kind, nullable=False)) if kind else known
    if action.take("DROP", "NOT", "NULL"):
        kind = known.column_type(name, column) or ""
        known = known.with_column(name, Column(column, kind, nullable=True)) if kind else known
        return [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)], known
    if action.take("SET", "EXPRESSION"):
        return [lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE, "rewrite", "computes the column for every row")], known
    weak = action.take("SET", "STATISTICS") or action.take("SET", "(") or action.take("RESET", "(")
    return [lock_rules.on(name, lock_rules.SHARE_UPDATE_EXCLUSIVE if weak else lock_rules.ACCESS_EXCLUSIVE)], known
