"""The parts of the table screen, each as a heading and rows: columns, indexes, keys and constraints, locks.

A part does not know where it is shown. On a wide terminal the parts are side by side, on a narrow one below each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from magetui.text import formats
from magetui.tui.theme import CRITICAL, QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.engine.table import Referrer, TableLock
    from magetui.model.schema import TableDetail

GAP = 2
LONGEST_NAME, LONGEST_TYPE, LEAST_DEFAULT = 32, 28, 14  # columns of the terminal
NOT_NULL = "not null"
REFERS, REFERRED = "refers ", "referred "
COLUMN, LOCK = "column ", "lock "


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the screen. `rows` and the names of its columns, `heading`, are for a width in columns."""

    title: str
    rows: Callable[[int], list[Row]]
    heading: Callable[[int], str] | None = None


def columns_part(detail: TableDetail) -> Part:
    """Return the columns: name, type, null, key, default."""
    names = [formats.plain(column.name) for column in detail.columns]
    types = [formats.one_line(column.type) for column in detail.columns]
    name_width, type_width = _width("COLUMN", names, LONGEST_NAME), _width("TYPE", types, LONGEST_TYPE)
    keys = [_key(detail, column.name) for column in detail.columns]
    defaults = [formats.one_line(column.default or "") for column in detail.columns]
    before_keys = name_width + type_width + len(NOT_NULL) + GAP
    has_defaults = any(defaults)

    def key_width(width: int) -> int:
        """Return the width of the keys, which leave room for the defaults."""
        most = width - before_keys - (LEAST_DEFAULT if has_defaults else 0)
        return max(len("primary") + GAP, min(most, _width("KEY", keys, LONGEST_NAME)))

    def heading(width: int) -> str:
        names = f"{fitted('COLUMN', name_width)}{fitted('TYPE', type_width)}{'NULL':<{len(NOT_NULL) + GAP}}"
        return f"{names}{fitted('KEY', key_width(width))}{'DEFAULT' if has_defaults else ''}"

    def rows(width: int) -> list[Row]:
        made = []
        for column, name, kind, key, default in zip(detail.columns, names, types, keys, defaults, strict=True):
            before = Content.assemble(
                fitted(name, name_width),
                fitted(kind, type_width),
                fitted("" if column.nullable else NOT_NULL, len(NOT_NULL) + GAP),
                (fitted(key, key_width(width) - GAP), STRONG),
                " " * GAP,
            )
            content = Content.assemble(before, (fitted(default, width - before.cell_length).rstrip(), QUIET))
            made.append(Row(f"{COLUMN}{column.name}", content, f"{name} {kind} {key} {default}", name))
        return made

    return Part(f"Columns · {len(names)}", rows, heading)


def column_lines(detail: TableDetail, name: str) -> list[Content]:
    """Return everything about a column, a line for each fact."""
    column = next(column for column in detail.columns if column.name == name)
    facts = [
        ("type", column.type),
        ("null", "allowed" if column.nullable else "not null"),
        ("key", _key(detail, name)),
        ("default", column.default or ""),
    ]
    return [Content.assemble((f"{label:<9}", QUIET), formats.plain(text)) for label, text in facts if text]


def _key(detail: TableDetail, column: str) -> str:
    """Return what a column is a key of: 'primary', '→ user', 'unique'."""
    unique = [index.columns for index in detail.indexes if index.unique]
    unique += [constraint.columns for constraint in detail.constraints if constraint.kind == "unique"]
    parts = ["primary"] if column in detail.primary_key else []
    parts += [f"→ {formats.plain(key.referred_table)}" for key in detail.foreign_keys if column in key.columns]
    parts += ["unique"] if (column,) in unique else []
    return " ".join(parts)


def indexes_part(detail: TableDetail) -> Part:
    """Return the indexes beside the primary key's. An index that is not valid says so in words."""
    lines = [
        (index.name, "unique" if index.unique else "", index.columns, index.valid)
        for index in sorted(detail.indexes, key=lambda index: index.valid)  # what needs an act comes first
    ]
    name_width = _width("INDEX", [formats.plain(name) for name, *_ in lines], LONGEST_NAME + GAP)
    definitions = {index.name: index.definition for index in detail.indexes}

    def rows(width: int) -> list[Row]:
        made = []
        for name, kind, columns, is_valid in lines:
            shown = formats.plain(name)
            text = formats.one_line(definitions.get(name) or ", ".join(columns))
            before = Content.assemble(
                (fitted(shown, name_width), "" if is_valid else CRITICAL),
                f"{kind:<8}",
                ("" if is_valid else "INVALID  ", CRITICAL),
            )
            content = Content("\n").join(_hung(before, text, width))
            made.append(Row(f"index {name}", content, f"{shown} {kind} {text}", shown))
        return made

    return Part(f"Indexes · {len(lines)}", rows, lambda _width: f"{fitted('INDEX', name_width)}{'UNIQUE':<8}COLUMNS")


NOT_READ = "not read: see the warning"


def keys_part(detail: TableDetail, referrers: Sequence[Referrer] | None, *, has_failed: bool) -> Part:
    """Return the primary key, the foreign keys in both directions, and the constraints.

    Enter on a foreign key opens the other table.
    """
    primary = ", ".join(detail.primary_key)
    entries: list[tuple[str, str, str, str]] = [("primary key", "primary key", primary, primary)] if primary else []
    entries += [
        (
            f"{REFERS}{number}",
            "refers to",
            f"{_named(key.referred_table, key.referred_schema, detail.table.schema)} "
            f"({', '.join(key.referred_columns)})  from {', '.join(key.columns)}{_on_delete(key.on_delete)}",
            key.name or key.referred_table,
        )
        for number, key in enumerate(detail.foreign_keys)
    ]
    entries += [
        (
            f"{REFERRED}{number}",
            "used by",
            f"{_named(referrer.table.name, referrer.table.schema, detail.table.schema)} "
            f"({', '.join(referrer.key.columns)}){_on_delete(referrer.key.on_delete)}",
            referrer.table.name,
        )
        for number, referrer in enumerate(referrers or ())
    ]
    entries += [
        (f"constraint {number}", item.kind, f"{item.name or ''}  {item.definition}".strip(), item.name or item.kind)
        for number, item in enumerate(detail.constraints)
    ]

    def rows(width: int) -> list[Row]:
        made = []
        for key, kind, text, name in entries:
            content = Content("\n").join(hanging(f"{kind:<11}", formats.one_line(text), width))
            made.append(Row(key, content, f"{kind} {text}", formats.plain(name)))
        if referrers is None:
            text = f"keys of other tables: {NOT_READ}" if has_failed else "reading the keys of other tables …"
            made.append(Row("reading keys", Content.styled(text, QUIET), ""))
        return made

    return Part(f"Keys and constraints · {len(entries)}", rows)


def _named(table: str, schema: str | None, own: str | None) -> str:
    return f"{schema}.{table}" if schema is not None and schema != own else table


def _on_delete(rule: str | None) -> str:
    return f"  on delete {rule.lower()}" if rule else ""


def locks_part(locks: Sequence[TableLock] | None, *, is_sqlite: bool, has_failed: bool) -> Part:
    """Return the sessions that hold a lock on the table or wait for one; on SQLite, processes with the file locked."""
    who = "process" if is_sqlite else "session"

    def rows(width: int) -> list[Row]:
        if locks is None:
            text = NOT_READ if has_failed else "reading the sessions …"
            return [Row("reading locks", Content.styled(text, QUIET), "")]
        if not locks:
            text = "no process has the file locked" if is_sqlite else "no session holds a lock on it or waits for one"
            return [Row("no locks", Content("\n").join(hanging("", text, width, QUIET)), "", text)]
        made = []
        for number, lock in enumerate(locks):
            session = lock.session
            what = f"holds {lock.mode}" if lock.is_held else f"waits for {lock.mode}"
            name = formats.one_line(session.application or "")
            state = formats.one_line(session.state or "not shown")
            since = formats.duration(session.transaction_ms)
            before = Content.assemble((f"{session.pid:<9}", STRONG), fitted(name, 15), " ")
            text = "  ".join(part for part in (what, state, since) if part)
            content = Content("\n").join(_hung(before, text, width, "" if lock.is_held else WARNING))
            made.append(Row(f"{LOCK}{number}", content, content.plain, str(session.pid)))
        return made

    pids = {lock.session.pid for lock in locks or ()}
    count = "" if locks is None else f" · {formats.number(len(pids), who, f'{who}es' if is_sqlite else None)}"
    return Part(f"Locks{count}", rows, lambda _width: f"{'PID':<9}{'APPLICATION':<16}LOCK AND STATE")


def _width(heading: str, texts: Iterable[str], most: int) -> int:
    return min(most, max([len(heading), *map(cell_len, texts)])) + GAP


def _hung(before: Content, text: str, width: int, style: str = "") -> list[Content]:
    """Return `text` behind styled content, wrapped with a hanging indent. A narrow width puts it on the next line."""
    room = width - before.cell_length
    if room >= min(20, cell_len(text)):
        first, *more = hanging(" " * before.cell_length, text, width, style)
        return [Content.assemble(before, first[before.cell_length :]), *more]
    return [before, *hanging("    ", text, width, style)]
