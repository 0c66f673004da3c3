"""Rows of SQL Server's catalog views as columns, indexes and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from magetui.backends.mssql.query import literal, quoted
from magetui.model.schema import (
    Column,
    Constraint,
    ForeignKey,
    Index,
    Wanted,
)


def counting(one: Wanted) -> str:
    if one.column is None:
        return "count_big(*)"
    if one.value is None:
        return f"count_big({quoted(one.column)})"
    return f"count_big(case when {quoted(one.column)} = {literal(one.value)} then 1 end)"


def column_of(row: Sequence[Any]) -> Column:
    name, kind, length, precision, scale, nullable, identity, default, computed, persisted = row
    if kind in ("nchar", "nvarchar") and length != -1:
        length //= 2  # it counts bytes (sys.columns, max_length)
    if kind in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"):
        kind = f"{kind}({'max' if length == -1 else length})"
    elif kind in ("decimal", "numeric"):
        kind = f"{kind}({precision},{scale})"
    elif kind in ("datetime2", "datetimeoffset", "time"):
        kind = f"{kind}({scale})"
    if computed is not None:
        default = f"as {computed}{' persisted' if persisted else ''}"
    return Column(name, kind, bool(nullable), "identity" if identity else default)


def indexes_of(
    rows: Sequence[tuple[Any, ...]], columns: Mapping[int, Mapping[int, Column]]
) -> tuple[dict[int, tuple[str, ...]], dict[int, list[Index]], dict[int, list[Constraint]]]:
    """By the table: the primary key's columns, the other indexes, and the unique constraints that some of them are."""
    keys: dict[int, tuple[str, ...]] = {}
    indexes: dict[int, list[Index]] = {}
    constraints: dict[int, list[Constraint]] = {}
    for (table, name), parts_of_index in groupby(rows, key=itemgetter(0, 1)):
        parts = list(parts_of_index)
        _, _, primary, unique, constraint, disabled, condition, *_ = parts[0]
        of_table = columns.get(table, {})
        spelled = [
            (of_table[number].name if number in of_table else "…", included, descending)
            for number, included, descending in (row[-3:] for row in parts)
        ]
        names = tuple(column for column, included, _ in spelled if not included)
        if primary:
            keys[table] = names
            continue
        if constraint:
            constraints.setdefault(table, []).append(Constraint(name, "unique", f"UNIQUE ({', '.join(names)})", names))
        descending = any(down for _, _, down in spelled)
        included = [column for column, beside, _ in spelled if beside]
        definition = None
        if descending or included or condition:
            ordered = [f"{column}{' DESC' if down else ''}" for column, beside, down in spelled if not beside]
            definition = f"{'UNIQUE ' if unique else ''}INDEX {name} ({', '.join(ordered)})"
            definition += f" INCLUDE ({', '.join(included)})" if included else ""
            definition += f" WHERE {condition}" if condition else ""
        indexes.setdefault(table, []).append(Index(name, names, bool(unique), not disabled, definition))
    return keys, indexes, constraints


def foreign_keys_of(
    rows: Sequence[tuple[Any, ...]],
    columns: Mapping[int, Mapping[int, Column]],
    names: Mapping[int, tuple[str | None, str]],
) -> dict[int, list[ForeignKey]]:
    found: dict[int, list[ForeignKey]] = {}
    for (table, name), parts_of_key in groupby(rows, key=itemgetter(0, 1)):
        parts = list(parts_of_key)
        referred, rule = parts[0][2], parts[0][3].replace("_", " ")
        if referred not in names or table not in columns:
            continue  # it came into being after the tables were listed
        here = tuple(columns[table][row[4]].name for row in parts)
        there = tuple(columns[referred][row[5]].name for row in parts)
        key = ForeignKey(name, here, *names[referred], there, None if rule == "NO ACTION" else rule)
        found.setdefault(table, []).append(key)
    return found
