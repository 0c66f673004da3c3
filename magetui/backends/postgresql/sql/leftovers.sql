-- Invalid indexes that no session is building, tables of Alembic's batch operations, and unused enum types (DROP TABLE
-- does not drop the type of a column, and creating the type again fails).
-- If a role may not see a session's progress, pg_stat_progress_create_index shows only the pid. But a concurrent build
-- takes SHARE UPDATE EXCLUSIVE on the table, and every role sees that lock.
select 'invalid-index', n.nspname, ic.relname, c.relname
from pg_index i
join pg_class ic on ic.oid = i.indexrelid
join pg_class c on c.oid = i.indrelid
join pg_namespace n on n.oid = ic.relnamespace
where not i.indisvalid and ic.relkind = 'i' and left(n.nspname, 3) <> 'pg_'
  and not exists (
      select 1 from pg_stat_progress_create_index p
      where p.index_relid = i.indexrelid
         or p.relid is null and exists (
             select 1 from pg_lock_status() l
             where l.pid = p.pid and l.relation = i.indrelid and l.mode = 'ShareUpdateExclusiveLock'))
union all
select 'leftover-table', n.nspname, c.relname, null
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and left(c.relname, length(%(prefix)s)) = %(prefix)s and left(n.nspname, 3) <> 'pg_'
union all
select 'leftover-type', n.nspname, t.typname, null
from pg_type t
join pg_namespace n on n.oid = t.typnamespace
where t.typtype = 'e' and left(n.nspname, 3) <> 'pg_'
  and not exists (
      select 1 from pg_depend d
      where d.refclassid = 'pg_type'::regclass and d.refobjid in (t.oid, t.typarray)
        and not (d.classid = 'pg_type'::regclass and d.objid = t.typarray))
  and not exists (
      select 1 from pg_depend d
      where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
order by 1, 2, 3
