"""CREATE TABLE, CREATE INDEX and ALTER TABLE as operations, part by part."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from magetui.model import operations as ops
from magetui.model.lock_modes import LockMode, TableWork
from magetui.model.schema import Column, Constraint, ForeignKey, Index

if TYPE_CHECKING:
    from magetui.engine.sql.tokens import Tokens

# Words that may follow a column's type, and end its default.
COLUMN_CLAUSES = frozenset(
    """DEFAULT NOT NULL CONSTRAINT CHECK UNIQUE PRIMARY REFERENCES GENERATED COLLATE STORAGE COMPRESSION DEFERRABLE
    INITIALLY AUTOINCREMENT AS""".split()  # noqa: SIM905 - to be read, not scrolled
)
CONSTRAINTS = frozenset({"CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "EXCLUDE", "FOREIGN"})
SERIAL = re.compile(r"(?:big|small)?serial[248]?", re.IGNORECASE)
WORDS_AFTER_TYPE = frozenset({"COLLATE", "USING"})


@dataclass(frozen=True, slots=True)
class Read:
    """What a statement, or a part of it, does.

    `schema`: the operations that a schema shows; None if this part is not understood as far as the schema is concerned.
    `locks`: the operations that a lock forecast is made from, as far as they are understood. `table`: the table that
    the statement changes if it is not understood: its name, its schema, and whether the statement creates it.
    """

    schema: tuple[ops.Operation, ...] | None
    locks: tuple[ops.Operation, ...]
    table: tuple[str, str | None, bool] | None = None

    @classmethod
    def both(cls, *operations: ops.Operation) -> Read:
        return cls(operations, operations)

    @classmethod
    def unclear(cls, *locks: ops.Operation) -> Read:
        return cls(None, locks)


def lock(table: str | None, schema: str | None, mode: LockMode | None, note: str | None = None) -> ops.LockTable:
    return ops.LockTable(table, schema, mode, note=note)


@dataclass(frozen=True, slots=True)
class TableReader:
    table: str
    schema: str | None
    dialect: str

    @property
    def where(self) -> tuple[str, str | None]:
        return self.table, self.schema

    # -- CREATE TABLE

    def created(self, words: Tokens) -> Read:
        """Read what follows the name of the new table."""
        others: list[ops.Operation] = []
        if words.take("PARTITION", "OF"):
            others.append(lock(*words.table(), LockMode.ACCESS_EXCLUSIVE))
            note = "the parent's default partition"
            others.append(ops.LockTable(None, None, LockMode.ACCESS_EXCLUSIVE, "scan", note))
        is_clear = not others and words.key == "("
        words.take("OF")
        columns: list[Column] = []
        constraints: list[ops.AddConstraint] = []
        for part in words.inside().parts() if words.key == "(" else ():
            if part.take("LIKE"):
                others.append(lock(*part.table(), LockMode.ACCESS_SHARE))
                is_clear = False
            elif part.key in CONSTRAINTS:
                is_clear = self._constraint_of_new_table(part, constraints) and is_clear
            else:
                column, its_constraints, is_read = self._column(part)
                columns.append(column)
                constraints += its_constraints
                is_clear = is_read and is_clear
        is_clear = is_clear and not words
        if words.take("INHERITS"):
            inherited = words.inside().tables()
            others += [lock(*parent, LockMode.SHARE_UPDATE_EXCLUSIVE) for parent in inherited]
        elif words.skip_to("AS"):
            others.append(ops.RunQuery(words.rest))
        table = ops.CreateTable(
            *self.where,
            tuple(columns),
            next((added.columns for added in constraints if added.constraint == "primary"), ()),
            (),
            tuple(added.foreign_key for added in constraints if added.foreign_key is not None),
            tuple(
                Constraint(added.name, added.constraint, added.definition or "", added.columns)
                for added in constraints
                if added.constraint in ("unique", "check", "exclude")
            ),
            next((added.name for added in constraints if added.constraint == "primary"), None),
        )
        return Read((table,) if is_clear else None, (*others, table))

    def _constraint_of_new_table(self, part: Tokens, constraints: list[ops.AddConstraint]) -> bool:
        """Add the constraint, and return True if the schema shows all of it."""
        constraint = self._constraint(part)
        if constraint is None:
            return False
        if constraint.constraint == "check" and constraint.name is None:
            return self.dialect == "sqlite"  # no fact is made of a check without a name
        constraints.append(constraint)
        return constraint.constraint != "exclude"

    def _column(self, words: Tokens) -> tuple[Column, list[ops.AddConstraint], bool]:
        """Read a column and its constraints. The last value is False if a part is not understood."""
        name = words.identifier()
        kind = "" if words.key in COLUMN_CLAUSES else words.until(COLUMN_CLAUSES)
        nullable, default, called = not SERIAL.fullmatch(kind), None, None
        constraints: list[ops.AddConstraint] = []
        is_read = bool(kind)
        while words:
            if words.take("CONSTRAINT"):
                called = words.identifier()
                continue
            if words.take("NOT", "NULL"):
                nullable = False
            elif words.take("DEFAULT"):
                default = words.until(COLUMN_CLAUSES)
            elif words.key == "GENERATED":
                default, is_identity = _generated(words)
                nullable = nullable and not is_identity
            elif (constraint := self._constraint(words, called, name)) is not None:
                constraints.append(constraint)
            elif words.take_any("COLLATE", "STORAGE", "COMPRESSION"):
                words.path()
            elif not words.take_any("NULL", "AUTOINCREMENT"):
                is_read = False
                words.step()
            called = None
        return Column(name, " ".join(kind.split()), nullable, default), constraints, is_read

    def _foreign_key(self, name: str | None, columns: tuple[str, ...], words: Tokens) -> ForeignKey:
        """Read what follows REFERENCES."""
        table, schema = words.table()
        referred = words.columns()
        on_delete = None
        while words.key not in COLUMN_CLAUSES and words:
            if words.take("ON", "DELETE"):
                set_to = "SET " if words.take("SET") else "NO " if words.take("NO") else ""
                on_delete = f"{set_to}{words.identifier().upper()}"
            elif words.take("ON", "UPDATE"):
                words.take_any("SET", "NO")
                words.identifier()
            else:
                words.step()
        while words.take("NOT", "DEFERRABLE") or words.take("DEFERRABLE") or words.take("INITIALLY"):
            words.take_any("DEFERRED", "IMMEDIATE")
        return ForeignKey(name, columns, schema, table, referred, on_delete)

    def _constraint(
        self, words: Tokens, name: str | None = None, column: str | None = None
    ) -> ops.AddConstraint | None:
        """Read a constraint of the table or of a column; None if it is of another kind."""
        if words.take("CONSTRAINT"):
            name = words.identifier()
        columns = (column,) if column is not None else words.columns() if words.take("FOREIGN", "KEY") else ()
        if words.take("REFERENCES"):
            key = self._foreign_key(name, columns, words)
            return ops.AddConstraint(*self.where, "foreign", name, foreign_key=key)
        if words.take("CHECK"):
            if column is not None and self.dialect == "postgresql":
                name = name or f"{self.table}_{column}_check"
            definition = words.inside().rest
            words.take("NO", "INHERIT")
            return ops.AddConstraint(*self.where, "check", name, definition=definition)
        if column is None and words.take("NOT", "NULL"):
            return ops.AddConstraint(*self.where, "check", name, definition=f"{words.identifier()} IS NOT NULL")
        if column is None and words.take("EXCLUDE"):
            return ops.AddConstraint(*self.where, "exclude", name)
        is_primary = words.take("PRIMARY", "KEY")
        if not is_primary and not words.take("UNIQUE"):
            return None
        if column is None:
            words.take_any("NULLS", "NOT", "DISTINCT")
            columns = words.columns()
        words.take_any("ASC")
        return ops.AddConstraint(*self.where, "primary" if is_primary else "unique", name, columns)

    # -- ALTER TABLE

    def altered(self, words: Tokens) -> Read:
        """Read the actions of ALTER TABLE, which come after the table's name."""
        actions = [self._action(action) for action in words.parts()]
        locks = [operation for action in actions for operation in action.locks]
        if any(action.schema is None for action in actions):
            return Read.unclear(*locks)
        shown = tuple(operation for action in actions for operation in action.schema or ())
        return Read(shown or None, tuple(locks))

    def _action(self, action: Tokens) -> Read:  # noqa: PLR0911 - a case an action
        verb = action.identifier().upper()
        match verb:
            case "ADD":
                return self._added(action)
            case "DROP" if action.take("CONSTRAINT"):
                if_exists = action.take("IF", "EXISTS")
                name = action.identifier()
                return Read.both(ops.DropConstraint(*self.where, name, None, if_exists, action.has("CASCADE")))
            case "DROP":
                action.take("COLUMN")
                if_exists = action.take("IF", "EXISTS")
                column = action.identifier()
                return Read.both(ops.DropColumn(*self.where, column, action.has("CASCADE"), if_exists))
            case "ALTER" if not action.take("CONSTRAINT"):
                action.take("COLUMN")
                return self._column_altered(action, action.identifier())
            case "RENAME" if action.take("TO"):
                return Read.both(ops.RenameTable(*self.where, action.identifier()))
            case "RENAME" if action.take("CONSTRAINT"):
                old = action.identifier()
                action.take("TO")
                return Read.both(ops.RenameConstraint(*self.where, old, action.identifier()))
            case "RENAME":
                action.take("COLUMN")
                old = action.identifier()
                action.take("TO")
                return Read.both(ops.AlterColumn(*self.where, old, new_name=action.identifier()))
            case "SET" if action.take("SCHEMA"):
                return Read.unclear(ops.MoveTable(*self.where, action.identifier()))
            case "VALIDATE":
                action.take("CONSTRAINT")
                return Read.unclear(ops.ValidateConstraint(*self.where, action.identifier()))
            case _:
                return self._setting(verb, action)

    def _added(self, action: Tokens) -> Read:
        valid = not action.has("NOT", "VALID") and not action.has("NOT", "ENFORCED")
        if action.key in CONSTRAINTS or action.key == "NOT":
            return self._constraint_added(action, valid)
        action.take("COLUMN")
        is_guarded = action.take("IF", "NOT", "EXISTS")
        column, constraints, is_read = self._column(action)
        adding = ops.AddColumn(*self.where, column)
        filled = column.default is not None and column.default.upper() != "NULL"
        checked = [replace(added, valid=added.constraint != "foreign" or filled) for added in constraints]
        locks: tuple[ops.Operation, ...] = (adding, *checked)
        if is_guarded:
            guarded = ops.Guarded(locks, self.table, self.schema, column.name, present=False)
            locks = (lock(*self.where, LockMode.ACCESS_EXCLUSIVE), guarded)
        return Read((adding, *constraints) if is_read else None, locks)

    def _constraint_added(self, action: Tokens, valid: bool) -> Read:
        ahead = action.ahead()
        if ahead.take("CONSTRAINT"):
            ahead.identifier()
        kind = ahead.key
        if action.has("USING", "INDEX"):
            note = "looks for nulls, unless the columns are NOT NULL" if kind == "PRIMARY" else None
            work: TableWork = "scan" if kind == "PRIMARY" else "catalog"
            return Read.unclear(ops.LockTable(*self.where, LockMode.ACCESS_EXCLUSIVE, work, note))
        constraint = self._constraint(action)
        if constraint is None:
            return Read.unclear(lock(*self.where, LockMode.ACCESS_EXCLUSIVE))
        constraint = replace(constraint, valid=valid)
        is_shown = kind not in ("NOT", "EXCLUDE") and (kind != "CHECK" or constraint.name is not None)
        return Read.both(constraint) if is_shown else Read.unclear(constraint)

    def _column_altered(self, action: Tokens, column: str) -> Read:  # noqa: PLR0911 - a case an action
        if action.take("SET", "DATA", "TYPE") or action.take("TYPE"):
            kind = " ".join(action.until(WORDS_AFTER_TYPE).split())
            using = action.rest if action.skip_to("USING") else None
            return Read.both(ops.AlterColumn(*self.where, column, type=kind, using=using))
        if action.take("SET", "NOT", "NULL"):
            return Read.both(ops.AlterColumn(*self.where, column, nullable=False))
        if action.take("DROP", "NOT", "NULL"):
            return Read.both(ops.AlterColumn(*self.where, column, nullable=True))
        if action.take("SET", "DEFAULT"):
            return Read.both(ops.AlterColumn(*self.where, column, default=action.rest))
        if action.take("DROP", "DEFAULT"):
            return Read.both(ops.AlterColumn(*self.where, column, drops_default=True))
        if action.take("SET", "EXPRESSION"):
            note = "computes the column for every row"
            return Read.unclear(ops.LockTable(*self.where, LockMode.ACCESS_EXCLUSIVE, "rewrite", note))
        if self.dialect == "mssql" and action.key not in ("ADD", "DROP", "SET"):
            kind = action.until(frozenset({"COLLATE", "NOT", "NULL"}))
            return Read.both(ops.AlterColumn(*self.where, column, type=kind))
        is_weak = action.take("SET", "STATISTICS") or action.take("SET", "(") or action.take("RESET", "(")
        return Read.unclear(
            lock(*self.where, LockMode.SHARE_UPDATE_EXCLUSIVE if is_weak else LockMode.ACCESS_EXCLUSIVE)
        )

    def _setting(self, verb: str, action: Tokens) -> Read:  # noqa: PLR0911 - a case an action
        """Read an action that changes no column and no constraint."""
        strong = lock(*self.where, LockMode.ACCESS_EXCLUSIVE)
        weak = lock(*self.where, LockMode.SHARE_UPDATE_EXCLUSIVE)
        match verb:
            case "ENABLE" | "DISABLE":
                action.take_any("REPLICA", "ALWAYS")
                is_trigger = action.key == "TRIGGER"
                return Read.unclear(lock(*self.where, LockMode.SHARE_ROW_EXCLUSIVE) if is_trigger else strong)
            case "CLUSTER" | "SET" if verb == "CLUSTER" or action.take("WITHOUT", "CLUSTER"):
                return Read((), (weak,))
            case "SET" | "RESET" if action.key == "(":
                return Read((), (strong if action.has("USER_CATALOG_TABLE") else weak,))
            case "SET" if action.key in {"LOGGED", "UNLOGGED", "TABLESPACE", "ACCESS"}:
                note = "unless the table has the setting already"
                return Read((), (ops.LockTable(*self.where, LockMode.ACCESS_EXCLUSIVE, "rewrite", note),))
            case "INHERIT" | "NO" if verb == "INHERIT" or action.take("INHERIT"):
                mode = LockMode.SHARE_UPDATE_EXCLUSIVE if verb == "INHERIT" else LockMode.ACCESS_SHARE
                return Read.unclear(strong, lock(*action.table(), mode))
            case "ATTACH" | "DETACH":
                action.take("PARTITION")
                partition = action.table()
                is_weak = verb == "ATTACH" or action.has("CONCURRENTLY")
                return Read.unclear(
                    weak if is_weak else strong,
                    ops.LockTable(*partition, LockMode.ACCESS_EXCLUSIVE, "scan" if verb == "ATTACH" else "catalog"),
                    ops.LockTable(None, None, LockMode.ACCESS_EXCLUSIVE, "scan", "the default partition"),
                )
            case "ALTER" | "SET" | "OWNER" | "REPLICA" | "OF" | "NOT" | "FORCE" | "NO" | "OPTIONS":
                return Read.unclear(strong)
            case _:
                return Read.unclear(strong, lock(None, None, None, f"what else ALTER TABLE … {verb} does"))


def create_index(words: Tokens, *, unique: bool) -> Read:
    concurrently = words.take("CONCURRENTLY")
    is_guarded = words.take("IF", "NOT", "EXISTS")
    name = "" if words.key == "ON" else words.path()[-1]
    words.take("ON")
    table, schema = words.table()
    is_btree = not words.take("USING") or words.identifier().lower() == "btree"
    columns = tuple(map(_indexed, words.inside().parts())) if words.key == "(" else ()
    condition = words.rest if words.take("WHERE") else None
    index, is_plain = Index(name, columns, unique=unique), is_btree and (condition is not None or not words)
    creating = ops.CreateIndex(table, schema, index, concurrently, condition=condition, plain=is_plain)
    if is_guarded and name:
        mode = LockMode.SHARE_UPDATE_EXCLUSIVE if concurrently else LockMode.SHARE
        guarded = ops.Guarded((creating,), None, schema, index=name, present=False)
        return Read((creating,), (lock(table, schema, mode), guarded), (table, schema, False))
    return Read((creating,) if name and columns else None, (creating,), (table, schema, False))


def _indexed(part: Tokens) -> str:
    """Return the name of the column, or the text of the expression."""
    words = part.ahead()
    name = words.identifier()
    words.take_any("ASC", "DESC", "NULLS", "FIRST", "LAST")
    return part.rest if words else name


def _generated(words: Tokens) -> tuple[str, bool]:
    """Read a GENERATED clause. Return its text, and True if the column is an identity."""
    text = words.rest
    words.take("GENERATED")
    words.take("ALWAYS")
    if words.take("BY", "DEFAULT"):
        words.take("ON", "NULL")
    words.take("AS")
    is_identity = words.take("IDENTITY")
    if words.key == "(":
        words.step()
    words.take_any("STORED", "VIRTUAL")
    return text.removesuffix(words.rest).strip() if words else text, is_identity
