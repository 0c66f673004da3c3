"""A database whose lesser users lie in wait: what of theirs runs with the rights of a reader writes TRAPPED to the log.

A function or operator of theirs is named as one of PostgreSQL's own, with parameters that fit better than those of the
original (manual, 10.2 and 10.3). Others wait in casts, views, rules, policies and event triggers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import product
from pathlib import Path

from tests.support.databases import PostgresDatabase

TRAPPED = "TRAPPED"
BACKEND = Path(__file__).parents[2] / "magetui" / "backends" / "postgresql"
TYPES = ("name", "text", "integer", "bigint", "oid", "boolean", '"char"', "regclass", "xid")
FEWER = ("name", "text", "integer")
COMPARING = ("=", "<>", "<", ">", "~")
OPERATORS = (*COMPARING, "||", "+", "*", "/", "-")
KEYWORDS = frozenset({"in", "array", "cast", "coalesce", "nullif", "values", "any", "all", "as", "count", "exists"})
FUNCTION = """
create function public.{name}({types}) returns text language plpgsql as
$$ begin raise log 'TRAPPED function {name}({shown})'; return null; end $$
"""
OPERATOR = """
create function public.operator_{number}({left}, {right}) returns {result} language plpgsql as
$$ begin raise log 'TRAPPED operator {left} {operator} {right}'; return null; end $$;
create operator public.{operator} (leftarg = {left}, rightarg = {right}, function = public.operator_{number})
"""
LAID = (
    "create function public.trap(what text) returns boolean language plpgsql as "
    "$$ begin raise log 'TRAPPED %', what; return true; end $$",
    "create type mood as enum ('base1', 'sad')",
    "create function public.shown(mood) returns text language plpgsql as "
    "$$ begin perform public.trap('cast'); return 'x'; end $$",
    "create cast (mood as text) with function public.shown(mood) as implicit",
    "create table t1 (id integer primary key, note text, state mood default 'sad')",
    "insert into t1 values (1, 'a', 'base1'), (2, 'b', 'sad')",
    "create table alembic_version (version_num mood not null)",
    "insert into alembic_version values ('base1')",
    "create schema other",
    "create view other.alembic_version as select 'x'::text as version_num where public.trap('view')",
    "create table \"%(name)s {name} '; select trap('name'); --\" (id integer)",
    "create domain word as text check (public.trap('domain'))",
    "create table other.words (version_num word)",
)
WAITING = (
    "create rule r as on insert to t1 do also select public.trap('rule')",
    "alter table t1 enable row level security",
    "alter table t1 force row level security",
    "create policy p on t1 using (public.trap('policy'))",
    "create function public.fired() returns event_trigger language plpgsql as "
    "$$ begin perform public.trap('event trigger'); end $$",
    "create event trigger waits on ddl_command_start execute function public.fired()",
    "grant all on all tables in schema public, other to public",
    "grant all on schema public, other to public",
)


@cache
def called() -> tuple[str, ...]:
    """Return the names of the functions that the program's SQL calls."""
    texts = [path.read_text() for path in (*BACKEND.rglob("*.py"), *BACKEND.rglob("*.sql"))]
    names = {name for text in texts for name in re.findall(r"\b([a-z][a-z0-9_]*)\(", text)}
    return tuple(sorted(names - KEYWORDS))


def lay_traps(database: PostgresDatabase) -> None:
    """Make the database hostile. Its version table has base1, and the schema has the table t1 of that revision."""
    own = {name for (name,) in database.rows("select distinct proname::text from pg_proc where pronamespace = 11")}
    database.rows(";".join(LAID))
    database.rows(";".join([*_functions(name for name in called() if name in own), *_operators()]))
    database.rows(";".join(WAITING))


def _functions(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        for types in (*product(TYPES), *product(TYPES, repeat=2), *product(FEWER, repeat=3)):
            yield FUNCTION.format(name=name, types=", ".join(types), shown=", ".join(types))


def _operators() -> Iterator[str]:
    for number, (operator, left, right) in enumerate(product(OPERATORS, TYPES, TYPES)):
        result = "boolean" if operator in COMPARING else "text"
        yield OPERATOR.format(number=number, operator=operator, left=left, right=right, result=result)
