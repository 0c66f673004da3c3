-- The other clients of this database, and all sessions that block one of them (a session of another database through a
-- shared object, an autovacuum worker), with their locks. The functions behind pg_stat_activity and pg_locks are called,
-- once: a role that may not read the views may still call them. pg_blocking_pids() locks the lock
-- manager, so it is called only for sessions that wait. A value that the role may not see is null, backend_type too: a
-- client then still has a user, and a background process has none.
-- Ages are computed for one moment after the sessions were read: a transaction is never younger than its query, and
-- neither starts in the future.
-- The stakes of a session are its held and awaited locks on objects that any session waits for. They distinguish a
-- session that holds a conflicting lock from a session that is only ahead in the wait queue.
with activity as materialized (
    select a.*, d.datname, pg_get_userbyid(a.usesysid) as usename
    from pg_stat_get_activity(null) a left join pg_database d on d.oid = a.datid
), locks as materialized (
    select l.pid, l.locktype, l.granted, l.mode, l.relation, l.page, l.tuple, l.transactionid, l.virtualxid,
           case when not l.granted then (to_jsonb(l) ->> 'waitstart')::timestamptz end as waitstart,  -- from 14 on
           l.database = (select oid from pg_database where datname = current_database()) as here,
           concat_ws(' ', l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid,
                     l.objid, l.objsubid) as object
    from pg_lock_status() l
    where l.pid <> pg_backend_pid()
), waits as materialized (
    select distinct on (pid) locks.*, pg_blocking_pids(pid) as blocked_by from locks where not granted order by pid
), seen as materialized (
    select a.* from activity a
    where a.pid <> pg_backend_pid()
      and (a.datname = current_database()
             and (a.backend_type = 'client backend' or a.backend_type is null and a.usesysid is not null)
           or a.pid in (select unnest(w.blocked_by)
                        from waits w join activity b on b.pid = w.pid and b.datname = current_database()))
), moment as materialized (
    select clock_timestamp() as now from (select count(*) from seen) after_they_were_seen
), relations as materialized (
    select c.oid, c.relkind, n.nspname = 'information_schema' or left(n.nspname, 3) = 'pg_' as system,
           case when pg_table_is_visible(c.oid) then c.relname::text else concat(n.nspname, '.', c.relname) end as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid in (select relation from locks where here)
), stakes as materialized (
    select l.pid, array_agg(concat(l.granted, ' ', l.mode, ' ', l.object)) as stakes
    from locks l
    where l.object in (select object from waits)
    group by l.pid
), held as materialized (
    select h.pid, array_agg(h.name order by h.name, h.mode) as names, array_agg(h.mode order by h.name, h.mode) as modes
    from (select l.pid, r.name, l.mode
          from locks l join relations r on r.oid = l.relation
          where l.here and l.granted and l.locktype = 'relation' and not r.system and r.relkind not in ('i', 'I')
          union  -- a table that its transaction has created is not in the catalog yet
          select l.pid, 'a new table', l.mode
          from locks l
          where l.here and l.granted and l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
            and not exists (select 1 from pg_class c where c.oid = l.relation)) h
    group by h.pid
)
select s.pid, s.usename,
       coalesce(nullif(s.application_name, ''), nullif(s.backend_type, 'client backend')),
       host(s.client_addr), s.state, nullif(nullif(s.query, '<insufficient privilege>'), ''),
       extract(epoch from m.now - s.xact_start) * 1000,
       extract(epoch from m.now - case when s.state = 'active' then s.query_start else s.state_change end)
         * 1000,
       h.names, h.modes, w.mode, w.locktype,
       case when w.here then coalesce(r.name, w.relation::text) else w.relation::text end,
       coalesce(w.transactionid::text, w.virtualxid), w.blocked_by,
       extract(epoch from m.now - w.waitstart) * 1000,
       case when s.state is not null then s.backend_xid is not null end,  -- a transaction gets its id when it writes
       k.stakes, s.backend_start::text
from seen s
cross join moment m
left join held h on h.pid = s.pid
left join stakes k on k.pid = s.pid
left join waits w on w.pid = s.pid
left join relations r on r.oid = w.relation and w.here
order by s.pid
