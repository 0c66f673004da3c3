-- Every user's table with the server's estimates, by schema and name, and on demand with its columns.
--
-- pg_relation_size(), pg_total_relation_size() and pg_get_expr() lock the table with ACCESS SHARE: they are not
-- called where somebody has, or waits to have, ACCESS EXCLUSIVE on the table, one of its indexes, its TOAST table
-- or that one's index. In a long listing only large tables are measured: asking the file system for every file of
-- every table would take longer than all the rest.
--
-- A column is the text 'number notnull type modifier name', and one with a default, an identity or an expression
-- is 'number notnull,identity,generated type modifier length name expression', the length being the name's. Rows
-- and format_type() are what costs here: so one row a table, and the types' names are fetched apart, once each.
with locked as materialized (
    select l.relation as oid from pg_locks l join pg_database d on d.oid = l.database
    where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and d.datname = current_database()
), locked_tables as materialized (
    select oid from locked
    union select i.indrelid from pg_index i join locked on locked.oid = i.indexrelid
), blocked as materialized (
    select oid from locked_tables
    union select c.oid from pg_class c join locked_tables t on t.oid = c.reltoastrelid
), listed as materialized (
    select c.oid, n.nspname, c.relname, c.relkind, r.rolname as owner, c.reltuples, c.relpages,
           c.relpages + coalesce(t.relpages, 0) as pages,
           c.oid in (select oid from blocked) as blocked
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_roles r on r.oid = c.relowner
    left join pg_class t on t.oid = c.reltoastrelid and t.relpages >= %(large_pages)s
    where c.relkind in ('r', 'p') and c.relpersistence <> 't'
      and c.relnamespace <> all (array(select oid from pg_namespace
                                       where nspname in ('pg_catalog', 'information_schema', 'pg_toast')))
      and (%(schema)s::text is null or n.nspname = %(schema)s)
      and (%(name)s::text is null or c.relname = %(name)s)
), measured as materialized (
    select oid from listed
    where relkind = 'r' and not blocked
      and (pages >= %(large_pages)s or (select count(*) from listed) <= %(measured_tables)s)
    order by pages desc
    limit %(measured_tables)s
)
select l.oid, l.nspname, l.relname, l.owner, l.blocked,
       case when l.reltuples > 0 then l.reltuples::bigint
            when pg_stat_get_live_tuples(l.oid) > 0 then pg_stat_get_live_tuples(l.oid)
            when m.oid is not null and pg_relation_size(m.oid) = 0 then 0
       end,
       case when m.oid is not null then pg_total_relation_size(m.oid)
            when l.relpages > 0 then l.pages * (select current_setting('block_size')::bigint)
       end,
       case when %(with_columns)s then array(
           select case when a.atthasdef or a.attidentity <> ''
                       then concat(a.attnum, ' ', a.attnotnull, ',', a.attidentity, ',', a.attgenerated, ' ',
                                   a.atttypid, ' ', a.atttypmod, ' ', length(a.attname), ' ', a.attname, ' ',
                                   (select case when l.blocked then '…' else pg_get_expr(d.adbin, d.adrelid) end
                                    from pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum))
                       else concat(a.attnum, case when a.attnotnull then ' t ' else ' f ' end,
                                   a.atttypid, ' ', a.atttypmod, ' ', a.attname)
                  end
           from pg_attribute a
           where a.attrelid = l.oid and a.attnum > 0 and not a.attisdropped)
       end
from listed l
left join measured m on m.oid = l.oid
order by l.nspname, l.relname
