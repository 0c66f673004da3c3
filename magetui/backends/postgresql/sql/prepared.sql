-- The prepared transactions of this database that hold a lock for which a session waits: their identifier, owner and age
-- in milliseconds. Their locks have no pid. What joins them is the virtual transaction that holds the lock on its own
-- transaction id.
with locks as materialized (
    select l.pid, l.granted, l.virtualtransaction, l.locktype, l.transactionid,
           concat_ws(' ', l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid,
                     l.objid, l.objsubid) as object
    from pg_lock_status() l
)
select p.gid, pg_get_userbyid(p.ownerid), extract(epoch from clock_timestamp() - p.prepared) * 1000
from pg_prepared_xact() p
join pg_database d on d.oid = p.dbid and d.datname = current_database()
where exists (
    select 1
    from locks own
    join locks held on held.virtualtransaction = own.virtualtransaction and held.pid is null and held.granted
    join locks wanted on wanted.object = held.object and not wanted.granted
    where own.pid is null and own.locktype = 'transactionid' and own.transactionid = p.transaction
)
order by p.prepared
