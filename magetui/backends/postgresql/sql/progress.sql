-- The progress of one session: a row for the session itself (its statement, the statement's start, and whether we may
-- read the sizes of files), and a row for each progress view that has one. Neither takes a lock on a user's table. If
-- the role may not see the session, the views show only its pid; such rows are left out.
with counted (what, command, phase, relation, done, total) as (
    select 'index', command, phase, relid,
           array[lockers_done, blocks_done, tuples_done], array[lockers_total, blocks_total, tuples_total]
    from pg_stat_progress_create_index where pid = %(pid)s and datname = current_database()
    union all
    select 'cluster', command, phase, relid,
           array[heap_blks_scanned, heap_tuples_scanned, heap_tuples_written], array[heap_blks_total]
    from pg_stat_progress_cluster where pid = %(pid)s and datname = current_database()
    union all
    select 'vacuum', null, phase, relid, array[heap_blks_scanned, heap_blks_vacuumed], array[heap_blks_total]
    from pg_stat_progress_vacuum where pid = %(pid)s and datname = current_database()
    union all
    select 'analyze', null, phase, relid, array[sample_blks_scanned], array[sample_blks_total]
    from pg_stat_progress_analyze where pid = %(pid)s and datname = current_database()
    union all
    select 'copy', command, null, relid, array[bytes_processed, tuples_processed], array[bytes_total]
    from pg_stat_progress_copy where pid = %(pid)s and datname = current_database()
)
select p.what, p.command, p.phase,
       case when pg_table_is_visible(c.oid) then c.relname::text
            else (select concat(n.nspname, '.', c.relname) from pg_namespace n where n.oid = c.relnamespace)
       end,
       p.done, p.total, null::timestamptz, null::boolean
from counted p
left join pg_class c on c.oid = p.relation
where p.relation is not null
union all
select 'statement', null, a.query, null, null, null, a.query_start,
       has_function_privilege('pg_stat_file(text, boolean)', 'execute')
from pg_stat_get_activity(%(pid)s) a
where a.state = 'active'
