"""What operations cost others, as claimed, against what real servers lock, read and write anew for them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from psycopg2 import extensions

from magetui.backends.postgresql.backend import PostgreSQL
from magetui.engine.evidence.recording import record_revisions
from magetui.engine.preview.lock_forecast import Effect, Known, after, effects
from magetui.engine.preview.lock_rules import MODES, merged
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import (
    AddColumn,
    AlterColumn,
    Autocommit,
    DropIndex,
    DropTable,
    ExecuteSql,
    Operation,
    Other,
    RebuildTable,
)
from magetui.model.schema import Column
from magetui.runner.recorder import Recorder
from tests.support.databases import PostgresDatabase
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.every_version]

HOUSE = """
create schema archive;
create type mood as enum ('sad', 'ok');
create table town (id integer primary key, name varchar(50), seen timestamp, size integer, born timestamptz);
create table person (
    id integer primary key, name varchar(50) not null, email text constraint person_email_key unique, age integer,
    mood mood, town_id integer constraint person_town_id_fkey references town (id)
);
create table pet (
    id integer primary key, owner_id integer constraint pet_owner_id_fkey references person (id), name text,
    weight integer, vet_id integer
);
alter table pet add constraint pet_weight_check check (weight > 0) not valid;
create index ix_pet_name on pet (name);
create table visit (
    id integer primary key, pet_id integer constraint visit_pet_id_fkey references pet (id) on delete cascade,
    on_day date
);
alter table visit add constraint visit_late_fkey foreign key (pet_id) references pet (id) on delete cascade not valid;
create table toy (id integer primary key, pet_id integer references pet (id) on delete set null, code integer unique);
create table note (
    body text, amount numeric(8, 2), code varchar(10), tiny smallint not null, flags varchar, moment timestamptz,
    length integer constraint note_length_check check (length > 0), computed varchar(9) check (computed <> '')
);
create unique index note_tiny on note (tiny);
create table archive.pet (id integer primary key, name text);
create table event (id integer, day date) partition by range (id);
create table event_old (id integer, day date);
create table event_new partition of event for values from (100) to (200);
create table base (id integer, kind text);
create view grown as select * from base where id > 17;
create materialized view kinds as select kind from base;
create unique index kinds_kind on kinds (kind);
create function touch() returns trigger language plpgsql as 'begin return new; end';
create trigger pet_touch before update on pet for each row execute function touch();
create sequence counter;
create domain dom as integer;
insert into town select n, 't', now(), 1, now() from generate_series(1, 5) n;
insert into person select n, 'n', 'e' || n, 20, 'ok', 1 from generate_series(1, 5) n;
insert into pet select n, 1, 'n', 3, 1 from generate_series(1, 5) n;
insert into visit select n, 1, now() from generate_series(1, 5) n;
insert into toy select n, 1, n from generate_series(1, 5) n;
insert into note select 'b', 1, 'c', n, 'f', now(), 1, 'x' from generate_series(1, 5) n;
insert into archive.pet select n, 'n' from generate_series(1, 5) n;
insert into event_old select n, now() from generate_series(1, 5) n;
insert into base select n, 'k' || n from generate_series(1, 5) n;
"""

RELATIONS = """
select c.oid, case when n.nspname = 'public' then c.relname else n.nspname || '.' || c.relname end,
       pg_relation_filenode(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm') and n.nspname in ('public', 'archive') and c.relname <> 'alembic_version'
"""
LOCKS = """
select relation, mode from pg_locks where locktype = 'relation' and pid = pg_backend_pid() and granted
"""
WANTED = """
select relation::regclass::text, mode from pg_locks where locktype = 'relation' and pid = {pid} and not granted
"""
ROWS_READ = "select relid, seq_tup_read from pg_stat_xact_user_tables"


@dataclass(frozen=True)
class Seen:
    """What the server did to the tables that were there before."""

    locks: dict[str, str]
    rewritten: set[str]
    scanned: set[str]


def observed(cursor: Any, act: Callable[[], object]) -> Seen:
    """Do it in the transaction that is open, and look before it ends."""
    cursor.execute(RELATIONS)
    relations = cursor.fetchall()
    names = {oid: name for oid, name, _ in relations}
    cursor.execute(ROWS_READ)
    read = dict(cursor.fetchall())
    act()
    cursor.execute(LOCKS)
    locks: dict[str, str] = {}
    for oid, mode in cursor.fetchall():
        if oid in names:
            locks[names[oid]] = max(mode, locks.get(names[oid], ""), key=MODES.index)
    cursor.execute(RELATIONS)
    files = {oid: file for oid, _, file in cursor.fetchall()}
    rewritten = {name for oid, name, file in relations if oid in files and files[oid] != file}
    cursor.execute(ROWS_READ)
    scanned = {names[oid] for oid, rows in cursor.fetchall() if oid in names and rows > read.get(oid, 0)}
    return Seen(locks, rewritten, scanned)


def claimed(made: Iterable[Effect]) -> dict[str, str]:
    return {shown(one): one.mode for one in made if one.table is not None}


def shown(effect: Effect) -> str:
    return str(effect.table) if effect.schema == "public" else f"{effect.schema}.{effect.table}"


def with_work(made: Iterable[Effect], *works: str) -> set[str]:
    return {shown(one) for one in made if one.work in works and one.table is not None}


def run_through(operations: Iterable[Operation], server: int, known: Known) -> tuple[tuple[Effect, ...], Known]:
    """One transaction's effects, all together."""
    made: list[Effect] = []
    for operation in operations:
        made += effects(operation, server, known)
        known = after(operation, known)
    return merged(made, Known()), known


def known_of(database: PostgresDatabase) -> Known:
    engine = PostgreSQL().reader(sa.make_url(database.url), "tests")
    with engine.connect() as connection:
        details = PostgreSQL().table_details(connection)
    engine.dispose()
    return Known.read(details, "public")


@pytest.fixture
def house(pg_database: PostgresDatabase) -> PostgresDatabase:
    pg_database.rows(HOUSE)
    return pg_database


@pytest.fixture
def session(house: PostgresDatabase) -> Iterator[extensions.connection]:
    with closing(house.server.connect(house.name)) as connection:
        yield connection


@pytest.fixture
def known(house: PostgresDatabase) -> Known:
    return known_of(house)


def statements(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def differences(
    connection: extensions.connection, known: Known, server: int, statements: Iterable[str], works: bool = True
) -> dict[str, object]:
    """For each statement for which claim and server differ, both. `works`: whether tables are read as it is claimed."""
    found: dict[str, object] = {}
    with connection.cursor() as cursor:
        for statement in statements:
            made = effects(ExecuteSql(statement), server, known)
            seen = observed(cursor, partial(cursor.execute, statement))
            connection.rollback()
            unsure = {shown(one) for one in made if one.note and "unless" in one.note}
            if claimed(made) != seen.locks:
                found[statement] = made, seen.locks
            elif with_work(made, "rewrite") - unsure != seen.rewritten - unsure:
                found[statement] = made, "written anew", seen.rewritten
            elif works and with_work(made, "scan", "build", "rewrite") - unsure != seen.scanned - unsure:
                found[statement] = made, "read", seen.scanned
            elif any(one.table is None for one in made):
                found[statement] = made, "not named"
    return found


COLUMNS = statements("""
alter table person add column nick text
alter table person add nick varchar(20) default 'x' not null
alter table person add column made timestamptz default now()
alter table person add column made timestamp default timezone('utc', now()) not null, add column more jsonb default '{}'
alter table person add column made timestamptz default clock_timestamp()
alter table person add column u uuid default gen_random_uuid() not null
alter table person add column u float default random() * 100
alter table person add column u integer default nextval('counter'::regclass)
alter table person add column u bigserial
alter table person add column u integer generated always as identity
alter table person add column u int generated by default as identity (start with 5)
alter table person add column u int generated always as (age + 1) stored
alter table person add column u text default 'random()'
alter table person add column u int references town (id)
alter table person add column u int default 1 references town (id)
alter table person add column u int unique
alter table toy add column u int check (u > 0)
alter table toy add column u int default 5 check (u > 0)
alter table note add column u serial primary key
alter table if exists only pet add column if not exists name text
alter table if exists nowhere add column u int
alter table person drop column age
alter table person drop column if exists town_id
alter table visit drop column pet_id, add column pet_id bigint
alter table person drop column email
alter table person alter column age set not null
alter table note alter column tiny set not null
alter table note alter tiny drop not null
alter table person alter column age set default 3
alter table person alter column age drop default
alter table person rename column age to years
alter table person rename age to years
alter table town rename column id to ident
alter table pet alter column id add generated always as identity
alter table pet alter column name set statistics 100
alter table pet alter column name set (n_distinct = 5)
alter table pet alter column name set storage external
alter table pet alter column name set compression pglz
""")

TYPES = statements("""
alter table person alter column name type varchar(60)
alter table person alter column name type character varying (40)
alter table person alter column name type text
alter table person alter column name set data type text collate "C"
alter table person alter column email type varchar(100)
alter table person alter column email type varchar
alter table note alter column amount type numeric(10,2)
alter table note alter column amount type decimal(10,3)
alter table note alter column amount type numeric(7,2)
alter table note alter column amount type numeric
alter table note alter column tiny type bigint
alter table note alter column tiny type int2 using tiny
alter table note alter column tiny type smallint using tiny + 1
alter table note alter column code type varchar(20) using code::varchar(20)
alter table note alter column body type varchar(20) using body::varchar(20)
alter table note alter column code type varchar(20) using cast(code as varchar(20))
alter table note alter column code type varchar(20) using (code::varchar(20))
alter table note alter column moment type timestamptz(6)
alter table note alter column moment type timestamptz(3)
alter table note alter column computed type varchar(20)
alter table note alter column length type bigint
alter table person alter column mood type text using mood::text
alter table person alter column age type numeric
alter table town alter column size type bigint, alter column name type text
alter table town alter column seen type timestamp(3)
alter table town alter column id type bigint
alter table person alter column town_id type bigint
alter table pet alter column owner_id type integer
alter table person alter column id type bigint, alter column town_id type bigint
""")

CONSTRAINTS = statements("""
alter table person add constraint c check (age > 0)
alter table person add constraint c check (age > 0) not valid
alter table person add constraint c check (age > 0) not valid, validate constraint c
alter table person add check (age > 0)
alter table person add constraint c unique (age, id)
alter table note add primary key (tiny)
alter table note add constraint c primary key using index note_tiny
alter table note add constraint c unique using index note_tiny
alter table town add constraint c exclude using btree (id with =)
alter table pet add constraint c foreign key (vet_id) references person (id)
alter table pet add constraint c foreign key (vet_id) references person (id) not valid
alter table pet add foreign key (vet_id) references public.person
alter table pet add constraint c foreign key (vet_id) references pet (id)
alter table pet add check (weight > 0), add foreign key (vet_id) references person
alter table pet add constraint c foreign key (owner_id) references person (id), drop constraint pet_owner_id_fkey
alter table pet validate constraint pet_weight_check
alter table pet validate constraint pet_weight_check, set (fillfactor = 70)
alter table visit validate constraint visit_late_fkey
alter table visit alter constraint visit_pet_id_fkey deferrable
alter table pet drop constraint pet_owner_id_fkey
alter table pet drop constraint if exists nowhere
alter table person drop constraint person_email_key
alter table person drop constraint person_pkey cascade
alter table toy drop constraint toy_code_key cascade
alter table pet drop constraint pet_weight_check cascade
alter table pet rename constraint pet_owner_id_fkey to owner
alter table pet rename constraint pet_owner_id_fkey to owner; alter table pet drop constraint owner
""")

INDEXES = statements("""
create index i on pet (weight)
create unique index i on only pet using btree (weight, id) where weight > 3
create index on archive.pet (lower(name))
create index if not exists ix_pet_name on pet (name)
drop index ix_pet_name
drop index if exists ix_pet_name, nowhere restrict
create index i on pet (weight); drop index i
alter index ix_pet_name rename to other
alter table ix_pet_name rename to other
alter index ix_pet_name set (fillfactor = 70)
reindex index ix_pet_name
reindex table pet
reindex (verbose) table pet
comment on index ix_pet_name is 'x'
""")

TABLES = statements("""
create table k (id int references town (id), o int, constraint c foreign key (o) references person (id) match full)
create table k (id int, o int references archive.pet on delete cascade, n int, foreign key (n) references "town" (id))
create table k (like person including all, foreign key (town_id) references town)
create table k () inherits (base)
create unlogged table k as select * from person
create table k as select * from note; create materialized view m as select * from k with no data
create materialized view m as select * from pet with data
select * into k from person
create temp table k as select * from pet
create table if not exists pet (id int references town)
create table k (id int); create index on k (id); insert into k values (1); alter table k rename to l; drop table l
create table k (id int primary key, o int references town); drop table k
drop table visit
drop table note, visit
drop table archive.pet
drop table if exists nowhere
alter table person rename to folk
alter table person rename to folk; drop table visit
alter table note set schema archive
alter table pet owner to current_user
alter table pet replica identity full
alter table note set unlogged
alter table note set logged
alter table note set access method heap
alter table note set tablespace pg_default
alter table note set without oids
alter table pet set (fillfactor = 70)
alter table pet set (autovacuum_enabled = false, fillfactor = 70)
alter table pet set (user_catalog_table = true)
alter table pet reset (fillfactor)
alter table pet cluster on ix_pet_name
alter table pet set without cluster
alter table pet add column a int, alter column weight set not null, set (fillfactor = 70)
alter table pet enable row level security
alter table pet no force row level security
comment on table pet is 'drop table person'
comment on column archive.pet.name is 'x'
comment on constraint pet_weight_check on pet is 'x'
comment on trigger pet_touch on pet is 'x'
comment on view grown is 'x'
comment on type mood is 'x'
lock table pet
lock table only pet, note in share mode
lock pet in share row exclusive mode nowait
cluster pet using pet_pkey
""")

AROUND = statements("""
create trigger t before insert or update on pet for each row execute function touch()
create or replace trigger pet_touch after delete on archive.pet for each row execute function touch()
alter trigger pet_touch on pet rename to other
drop trigger if exists pet_touch on pet
alter table pet disable trigger pet_touch
alter table pet enable always trigger pet_touch
create rule r as on delete to note do instead nothing
create constraint trigger t after insert on pet from person deferrable for each row execute function touch()
create rule r as on insert to note do also (insert into base values (1); delete from event_old)
create policy p on pet using (true)
create policy p on pet for all using (exists (select 1 from note)) with check (id in (select id from town))
create policy p on pet; alter policy p on pet using (weight > (select max(length) from note))
create view v as select setval('counter', 5), name from pet
create statistics s on name, weight from pet
create publication p for table pet, note
grant select on pet to public
revoke all on table pet, archive.pet from public
grant usage on schema public to public
grant all on sequence counter to public
alter type mood add value if not exists 'great' after 'ok'
alter type mood rename value 'ok' to 'fine'
alter type mood rename to temper
create type size as enum ('small; large', 'it''s')
drop type if exists nowhere
create sequence s
create sequence s owned by pet.id
alter sequence counter owned by pet.id
alter sequence counter restart with 5
drop sequence counter
create schema if not exists other
create extension if not exists plpgsql
create domain d as text check (value <> '')
create or replace function f() returns int language plpgsql as $$ begin drop table pet; return 1; end; $$
alter function touch() rename to f
drop function if exists nowhere()
set lock_timeout = '1s'; set local search_path to public
select 1 -- drop table pet; nothing is done
/* drop table pet */ select 1;
select setval('counter', 4), nextval('counter'), pg_backend_pid()
""")

ROWS = statements("""
select * from person join town on true
select * from person p where exists (select 1 from pet) for share of p
select * from person for no key update
with recent as (select * from town) select * from recent
with gone as (delete from toy returning *) select * from gone join note on true
table note
values (1)
explain select * from pet
explain (costs off) update note set body = 'x'
update note set body = 'b'
update public."pet" as p set name = 'n' where owner_id in (select id from person)
update pet set owner_id = 2
update person set town_id = 2 from base where base.id = person.town_id
update person set id = id + 100 where id > 3
delete from toy
delete from pet
delete from person where id = 5
delete from visit using note where note.length = visit.pet_id
insert into note (tiny, body) values (7, 'x'), (8, 'y')
insert into pet (id, name) values (50, 'n')
insert into pet (id, owner_id) select id + 10, 1 from archive.pet
insert into visit values (90, 1)
insert into town (id) values (77) on conflict do nothing
insert into toy (id, code) values (1, 30) on conflict (id) do update set pet_id = 2
merge into note using base on base.kind = note.body when matched then delete when not matched then do nothing
merge into toy using base on base.id = toy.id when matched then update set pet_id = 3 when not matched then do nothing
truncate note
truncate table only toy, visit restart identity
truncate person cascade
copy note from '/dev/null'
copy toy (id, code) from '/dev/null'
copy pet to '/dev/null'
copy (select * from pet) to '/dev/null'
analyze pet (name), note
""")

NEEDS_18 = statements("""
alter table person add column u int generated always as (age + 1)
alter table person add column u int generated always as (age + 1) virtual not null
alter table person add constraint c not null age
alter table person add constraint c not null age not valid
alter table person add constraint c check (age > 0) not enforced
alter table pet add constraint c foreign key (vet_id) references person (id) not enforced
""")


@pytest.mark.parametrize(
    "several",
    [COLUMNS, TYPES, CONSTRAINTS, INDEXES, TABLES, AROUND],
    ids=["columns", "types", "constraints", "indexes", "tables", "around"],
)
def test_statement_locks_reads_and_writes_anew_what_the_plan_says(
    house: PostgresDatabase, session: extensions.connection, known: Known, several: list[str]
) -> None:
    assert differences(session, known, house.server.major, several) == {}


def test_statement_of_a_newer_server_is_read_too(
    house: PostgresDatabase, session: extensions.connection, known: Known
) -> None:
    if house.server.major >= 18:
        assert differences(session, known, house.server.major, NEEDS_18) == {}


def test_change_of_rows_locks_the_tables_that_foreign_keys_have_it_look_at(
    house: PostgresDatabase, session: extensions.connection, known: Known
) -> None:
    found = differences(session, known, house.server.major, ROWS, works=False)
    emptied = {
        name: said for name, said in found.items() if name.startswith("truncate") and "written anew" in str(said)
    }
    assert found == emptied  # an empty file is a new one, but nothing is written
    assert len(emptied) == 3


UNNAMED = {
    "alter table event attach partition event_old for values from (1) to (9)": "the default partition",
    "create table event_late partition of event for values from (300) to (400)": "the parent's default partition",
    "alter table event detach partition event_new": "the default partition",
    "refresh materialized view kinds": "the tables that kinds reads",
    "refresh materialized view concurrently kinds": "the tables that kinds reads",
    "select * from grown": "the tables that grown reads, if it is a view",
    "create function f() returns bigint language sql as 'select count(*) from note'": (
        "the tables that its body names, while it is checked"
    ),
    "drop view grown cascade": "views that read it",
    "drop table base cascade": "views that read base",
    "drop table person cascade": "views that read person",
    "alter table person drop column id cascade": "views that read person.id",
    "drop type mood cascade": "tables that rest on the dropped type",
    "drop function touch() cascade": "tables that rest on the dropped function",
    "drop statistics if exists nowhere": "the table of the statistics",
    "drop schema archive cascade": "whatever else stands in archive, or rests on it",
    "alter domain dom add constraint positive check (value > 0)": "tables with a column of the domain",
}


def test_tables_that_cannot_be_named_are_described_and_cover_all_that_is_locked(
    house: PostgresDatabase, session: extensions.connection, known: Known
) -> None:
    with session.cursor() as cursor:
        for statement, note in UNNAMED.items():
            made = effects(ExecuteSql(statement), house.server.major, known)
            seen = observed(cursor, partial(cursor.execute, statement))
            session.rollback()
            [described] = [one for one in made if one.table is None]
            assert described.note == note, statement
            named = claimed(made)
            assert named.items() <= seen.locks.items(), statement
            others = {mode for name, mode in seen.locks.items() if name not in named}
            assert all(MODES.index(mode) <= MODES.index(described.mode) for mode in others), statement


UNKNOWN = {
    "do $$ begin drop table pet; end $$": "what DO runs or locks",
    "call tidy(1)": "what CALL runs or locks",
    "execute prepared": "what EXECUTE runs or locks",
    "select tidy_up(now())": "what the function tidy_up() does",
    "drop owned by nobody": "what DROP OWNED locks",
    "alter extension hstore update": "what ALTER EXTENSION locks",
    "alter index ix set tablespace fast": "what ALTER INDEX locks",
    "alter table pet frobnicate": "what ALTER TABLE … FROBNICATE does more",
    "frobnicate": "what FROBNICATE runs or locks",
    "import foreign schema x from server y into z": "what IMPORT runs or locks",
}


@pytest.mark.parametrize(("statement", "note"), UNKNOWN.items(), ids=lambda one: str(one)[:20])
def test_what_cannot_be_told_is_said(statement: str, note: str) -> None:
    [unknown] = [one for one in effects(ExecuteSql(statement), 16, Known(whole=True)) if one.unknown]
    assert (unknown.table, unknown.work, unknown.note) == (None, "unknown", note)


@pytest.mark.parametrize(
    "statement", ["select from where (", "select 'open", "insert into", "create", "alter table", "drop", ";;"]
)
def test_text_that_is_no_sql_is_no_reason_to_fail(statement: str) -> None:
    made = effects(ExecuteSql(statement), 16, Known(whole=True))
    assert all(one.unknown for one in made)


def test_time_zone_of_the_session_decides_whether_timestamps_are_written_anew(
    house: PostgresDatabase, session: extensions.connection, known: Known
) -> None:
    statement = "alter table town alter column seen type timestamp with time zone"
    [made] = effects(ExecuteSql(statement), house.server.major, known)
    assert (made.work, made.note) == ("rewrite", "unless the session's time zone is UTC")
    with session.cursor() as cursor:
        for zone, rewritten in (("UTC", set()), ("Europe/Paris", {"town"})):
            cursor.execute("set local time zone %s", (zone,))
            assert observed(cursor, partial(cursor.execute, statement)).rewritten == rewritten
            session.rollback()


def test_default_from_a_function_that_nobody_knows_may_be_volatile() -> None:
    [made] = effects(ExecuteSql("alter table pet add column tag text default make_tag('a')"), 16, Known())
    assert (made.work, made.note) == ("rewrite", "fills in a default, unless make_tag() is not volatile")


def test_without_a_database_the_tables_that_may_be_locked_too_are_described() -> None:
    drop, referred = effects(DropTable("visit", None), 16, Known())
    assert (drop.table, drop.mode) == ("visit", "AccessExclusiveLock")
    assert (referred.table, referred.mode) == (None, "AccessExclusiveLock")
    assert referred.note == "the tables that foreign keys of visit refer to"
    kind, connected = effects(AlterColumn("visit", None, "code", type="TEXT"), 16, Known())
    assert (kind.work, kind.note) == ("rewrite", "unless the type it has now is stored in the same way")
    assert connected.note == "the tables that a foreign key connects with visit.code"
    [index] = effects(DropIndex("ix_visit", None, None), 16, Known())
    assert (index.table, index.note) == (None, "the table of index ix_visit")


def test_table_that_the_run_created_and_committed_is_waited_for_again() -> None:
    known = after(ExecuteSql("create table toy (id int)"), Known(whole=True))
    add = AddColumn("toy", None, Column("made", "TIMESTAMP", nullable=True, default="clock_timestamp()"))
    assert effects(add, 16, known) == ()
    [made] = effects(add, 16, after(Autocommit(begins=True), known))
    assert (made.table, made.mode, made.work) == ("toy", "AccessExclusiveLock", "rewrite")
    assert made.note == "fills in a volatile default: clock_timestamp()"


def test_other_operations_of_alembic_say_what_is_known_of_them() -> None:
    [comment] = effects(Other("CreateTableCommentOp"), 16, Known())
    assert (comment.table, comment.mode) == (None, "ShareUpdateExclusiveLock")
    [other] = effects(Other("ReplaceableObjectOp"), 16, Known())
    assert other.unknown
    assert effects(RebuildTable("pet", None), 16, Known()) == ()


# -- operations, as scripts write them


def add_columns() -> None:
    op.add_column("person", sa.Column("nick", sa.String(20), server_default="x", nullable=False))
    op.add_column("person", sa.Column("made", sa.DateTime(timezone=True), server_default=sa.func.now()))
    op.add_column("person", sa.Column("home", sa.Integer, sa.ForeignKey("town.id"), unique=True, index=True))


def add_random_column() -> None:
    op.add_column("person", sa.Column("key", sa.Uuid, server_default=sa.text("gen_random_uuid()")))


def drop_columns() -> None:
    op.drop_column("visit", "pet_id")
    op.drop_column("person", "age")


def widen() -> None:
    op.alter_column("person", "name", type_=sa.Text, existing_type=sa.String(50))
    op.alter_column("note", "code", type_=sa.String(30), nullable=True)


def narrow() -> None:
    op.alter_column("person", "name", type_=sa.String(20))


def retype_key() -> None:
    op.alter_column("town", "id", type_=sa.BigInteger)


def cast() -> None:
    op.alter_column("person", "mood", type_=sa.Text, postgresql_using="mood::text")


def require() -> None:
    op.alter_column("person", "age", nullable=False, server_default="3")


def rename() -> None:
    op.alter_column("person", "age", new_column_name="years")
    op.rename_table("note", "letter")


def create_tables() -> None:
    op.create_table(
        "k",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("town_id", sa.Integer, sa.ForeignKey("town.id")),
        sa.Column("above", sa.Integer, sa.ForeignKey("k.id")),
        sa.Column("mood", sa.Enum("a", "b", name="temper")),
        sa.Column("pet_id", sa.Integer, sa.ForeignKey("archive.pet.id")),
    )
    op.create_index("ix_k", "k", ["town_id"])
    op.bulk_insert(sa.table("k", sa.column("id", sa.Integer)), [{"id": 1}])
    op.add_column("k", sa.Column("u", sa.Uuid, server_default=sa.text("gen_random_uuid()")))


def drop_tables() -> None:
    op.drop_table("visit")
    op.drop_table("pet", schema="archive")


def create_and_drop() -> None:
    create_tables()
    op.drop_index("ix_k")
    op.drop_table("k")


def index() -> None:
    op.create_index("ix_pet_weight", "pet", ["weight"])


def drop_indexes() -> None:
    op.drop_index("ix_pet_name")


def constrain() -> None:
    op.create_foreign_key("c", "pet", "person", ["vet_id"], ["id"])
    op.create_check_constraint("positive", "toy", "code > 0")
    op.create_unique_constraint("u", "note", ["tiny"])


def constrain_what_comes() -> None:
    op.create_foreign_key("c", "pet", "person", ["vet_id"], ["id"], postgresql_not_valid=True)
    op.create_check_constraint("positive", "toy", "code > 0", postgresql_not_valid=True)


def constrain_key() -> None:
    op.create_primary_key("p", "note", ["tiny"])


def release() -> None:
    op.drop_constraint("pet_owner_id_fkey", "pet", type_="foreignkey")
    op.drop_constraint("note_length_check", "note")


def release_unsaid() -> None:
    op.drop_constraint("visit_pet_id_fkey", "visit")


def release_what_was_made() -> None:
    op.create_foreign_key("c", "base", "note", ["id"], ["tiny"])
    op.drop_constraint("c", "base")


def insert() -> None:
    pet = sa.table("pet", sa.column("id", sa.Integer), sa.column("owner_id", sa.Integer))
    op.bulk_insert(pet, [{"id": 70, "owner_id": 1}])


def retype_and_use() -> None:
    op.execute("alter table note alter column code type text")
    op.alter_column("note", "code", type_=sa.String)
    op.execute("alter table note drop constraint note_length_check")
    op.execute("create table k (id int references note (tiny))")
    op.drop_table("k")


OPERATIONS = (
    add_columns,
    add_random_column,
    drop_columns,
    widen,
    narrow,
    retype_key,
    cast,
    require,
    rename,
    create_tables,
    drop_tables,
    create_and_drop,
    index,
    drop_indexes,
    constrain,
    constrain_what_comes,
    constrain_key,
    release,
    release_unsaid,
    release_what_was_made,
    insert,
    retype_and_use,
)


def test_operation_locks_and_writes_anew_what_the_plan_says(house: PostgresDatabase, known: Known) -> None:
    engine = sa.create_engine(house.url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for script in OPERATIONS:
            recorded = Recorder("postgresql").record(script)
            assert recorded.undecidable is None
            made, _ = run_through(recorded.operations, house.server.major, known)
            with Operations.context(MigrationContext.configure(connection)):
                seen = observed(cursor, script)
            connection.rollback()
            assert claimed(made) == seen.locks, script.__name__
            assert with_work(made, "rewrite") == seen.rewritten, script.__name__
            unsure = {shown(one) for one in made if one.note == "the foreign key refers to it"}  # not for nulls alone
            assert with_work(made, "scan", "build", "rewrite") - unsure == seen.scanned - unsure, script.__name__
            assert not [one for one in made if one.table is None], script.__name__
    engine.dispose()


# -- concurrently: only outside of a transaction, and so looked at while it waits


CONCURRENTLY = {
    "create index concurrently ix_late on pet (weight)": ("pet", "ShareUpdateExclusiveLock", "build"),
    "create unique index concurrently if not exists ix_late on pet (id)": ("pet", "ShareUpdateExclusiveLock", "build"),
    "reindex index concurrently ix_pet_name": ("pet", "ShareUpdateExclusiveLock", "build"),
    "reindex table concurrently pet": ("pet", "ShareUpdateExclusiveLock", "build"),
    "drop index concurrently if exists ix_pet_name": ("pet", "ShareUpdateExclusiveLock", "catalog"),
    "vacuum full pet": ("pet", "AccessExclusiveLock", "rewrite"),
    "vacuum (full, analyze) pet": ("pet", "AccessExclusiveLock", "rewrite"),
    "vacuum (analyze) pet": ("pet", "ShareUpdateExclusiveLock", "scan"),
    "alter table event detach partition event_new concurrently": ("event", "ShareUpdateExclusiveLock", "catalog"),
}


def test_statement_outside_of_a_transaction_wants_the_lock_that_the_plan_says(
    house: PostgresDatabase, known: Known
) -> None:
    for statement, (table, mode, work) in CONCURRENTLY.items():
        made = effects(ExecuteSql(statement), house.server.major, known)
        assert [(one.mode, one.work) for one in made if one.table == table] == [(mode, work)], statement
        with (
            house.session(f"lock table {table} in share update exclusive mode") as blocker,
            closing(house.server.connect(house.name, autocommit=True)) as connection,
            ThreadPoolExecutor(1) as other,
        ):
            wanted_by = WANTED.format(pid=connection.get_backend_pid())
            running = other.submit(connection.cursor().execute, statement)
            try:
                wanted = eventually(partial(house.rows, wanted_by), describe=partial(str, statement))
            finally:
                blocker.rollback()
            running.result(timeout=30)
            assert wanted == [(table, mode)], statement


# -- Mage's chain


def step(connection: sa.Connection, script: Callable[[], None]) -> Seen:
    """Run one revision's function in a transaction of its own, committed."""
    context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
    with Operations.context(context), context.begin_transaction(_per_migration=True):
        return observed(connection.connection.cursor(), script)


def test_whole_mage_chain_locks_what_the_plan_says_up_and_down(
    pg_database: PostgresDatabase, mage_home: Path, mage_importable: None
) -> None:
    workspace = Workspace(Selection(url=pg_database.url, mage_path=str(mage_home)), {})
    newest_first = workspace.chain.revisions
    recordings = record_revisions(workspace, [revision.revision for revision in newest_first])
    known = Known(whole=True, schema="public")
    engine = sa.create_engine(pg_database.url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        for direction, revisions in (("upgrade", newest_first[::-1]), ("downgrade", newest_first)):
            for revision in revisions:
                recorded = recordings[revision.revision].way(direction)
                made, known = run_through(recorded.operations, pg_database.server.major, known.committed())
                seen = step(connection, getattr(module_of(revision.path), direction))
                where = f"{direction} {revision.revision}"
                if recorded.undecidable is None:
                    assert not [one for one in made if one.table is None], where
                    assert claimed(made) == seen.locks, where
                    assert with_work(made, "rewrite") == seen.rewritten, where
                else:
                    known = known_of(pg_database)
    engine.dispose()
    assert pg_database.rows("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


def module_of(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
