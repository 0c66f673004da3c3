locked as materialized (
    select l.relation as oid from pg_lock_status() l join pg_database d on d.oid = l.database
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and d.datname = current_database()
      and l.pid is distinct from pg_backend_pid()
), locked_tables as materialized (
    select oid from locked
    union select i.indrelid from pg_index i join locked on locked.oid = i.indexrelid
), locked_away as materialized (
    select oid from locked_tables
    union select c.oid from pg_class c join locked_tables t on t.oid = c.reltoastrelid
)
