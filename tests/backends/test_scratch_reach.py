"""The reach of a script's SQL outside of a scratch schema, by its text: rather too much than too little."""

from __future__ import annotations

import pytest

from magetui.backends.postgresql.scratch import outreach

SCHEMAS = frozenset({"public", "Mage data", "pg_catalog", "information_schema"})

INSIDE = [
    "UPDATE t SET name = u.name FROM users u WHERE u.id = t.id",
    "SELECT pg_catalog.now(), information_schema.tables.table_name FROM information_schema.tables",
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('sad'); EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    "-- as in public.t\nALTER TABLE t ADD COLUMN x integer /* not public.t */",
    "ALTER TABLE role ALTER COLUMN database DROP NOT NULL",
    "CREATE INDEX extension ON t (role)",
    "GRANT SELECT ON t TO reader",
    "COPY t FROM STDIN",
    "INSERT INTO t VALUES (1.5, 'a.b')",
]
OUTSIDE = {
    "DROP TABLE public.t": "the schema public",
    'SELECT "Mage data" . f()': "the schema Mage data",
    "SELECT Public.f()": "the schema public",
    "INSERT INTO t SELECT * FROM x JOIN public.y USING (id)": "the schema public",
    "DO $$ BEGIN EXECUTE 'drop table public.t'; END $$": "the schema public",
    "select nextval('public.s')": "the schema public",
    "CREATE EXTENSION citext": "beyond any schema (create extension)",
    "create or replace trusted language x": "beyond any schema (create or replace trusted language)",
    "ALTER   ROLE mage SUPERUSER": "beyond any schema (alter role)",
    "comment on database mage is 'x'": "beyond any schema (comment on database)",
    "SELECT set_config('search_path', 'x', false)": "set_config",
    "GRANT SELECT ON ALL TABLES IN SCHEMA x TO y": "all tables in schema",
    "SET LOCAL ROLE other": "set local role",
    "COPY t TO PROGRAM 'mail'": "a file or a program (copy)",
    "COPY t FROM '/tmp/x'": "a file or a program (copy)",
    "SELECT pg_terminate_backend(1)": "pg_terminate_backend",
}


@pytest.mark.parametrize("sql", INSIDE)
def test_what_stays_inside_is_not_refused(sql: str) -> None:
    assert outreach(sql, SCHEMAS) is None


@pytest.mark.parametrize("sql", OUTSIDE)
def test_what_reaches_outside_is_named(sql: str) -> None:
    assert outreach(sql, SCHEMAS) == OUTSIDE[sql]
