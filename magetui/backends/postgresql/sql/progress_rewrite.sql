-- The files of a table that the session has locked ACCESS EXCLUSIVE ('old'), and of the newest relations that no other
-- session can see yet ('new'), newest first: bytes over all segments, the last write, and the session's lock modes.
-- pg_relation_filepath() and pg_stat_file() take no lock; pg_relation_size() would wait for the session.
-- The file of a new heap is named after its oid and is in the directory of the old file.
with recursive locks as materialized (
    select l.relation as oid, array_agg(l.mode) as modes
    from pg_lock_status() l
    where l.pid = %(pid)s and l.locktype = 'relation' and l.granted
      and l.database = (select oid from pg_database where datname = current_database())
    group by l.relation
    having bool_or(l.mode = 'AccessExclusiveLock')
), rewritten as materialized (
    select c.oid, c.reltoastrelid, pg_relation_filepath(c.oid) as path,
           case when pg_table_is_visible(c.oid) then c.relname::text else concat(n.nspname, '.', c.relname) end as name
    from pg_class c
    join locks on locks.oid = c.oid
    join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.relpersistence <> 't' and not c.relhassubclass
      and c.relname = %(table)s and (%(schema)s::text is null or n.nspname = %(schema)s)
), relations as materialized (
    select 'old' as age, oid, name, path, null::text[] as modes from rewritten
    union all
    select 'old', t.oid, r.name, pg_relation_filepath(t.oid), null
    from rewritten r
    cross join lateral (
        select r.reltoastrelid union all select indexrelid from pg_index where indrelid = r.reltoastrelid
    ) t (oid)
    where t.oid <> 0
    union all
    (select 'new', l.oid, r.name, regexp_replace(r.path, '[^/]+$', l.oid::text), l.modes
     from locks l, rewritten r
     where not exists (select from pg_class c where c.oid = l.oid)
     order by l.oid desc
     limit 3)
), segments (oid, path, number, size, modification) as (
    select r.oid, r.path, 0, f.size, f.modification from relations r, pg_stat_file(r.path, true) f
    union all
    select s.oid, s.path, s.number + 1, f.size, f.modification
    from segments s, pg_stat_file(concat(s.path, '.', s.number + 1), true) f
    where s.size > 0
)
select r.age, r.name, r.modes, coalesce(sum(s.size), 0)::bigint, max(s.modification)
from relations r
join segments s on s.oid = r.oid
group by r.age, r.oid, r.name, r.modes
order by r.oid desc
