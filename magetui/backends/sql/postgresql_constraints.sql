-- Foreign keys, and the constraints that are neither primary key nor NOT NULL (pg_constraint has those too since
-- PostgreSQL 18). Checks and exclusions of the tables in %(blocked)s are not spelled out: that locks the table.
-- The columns referred to have names where their table is not among those that are read.
select k.conrelid, k.conname, k.contype, k.conkey, fn.nspname, f.relname, k.confrelid, k.confkey, k.confdeltype,
       case when k.contype = 'f' and (%(schema)s::text is not null or %(name)s::text is not null)
            then array(select a.attname::text
                       from unnest(k.confkey) with ordinality as o (number, place)
                       join pg_attribute a on a.attrelid = k.confrelid and a.attnum = o.number
                       order by o.place)
       end,
       case when k.contype = 'u' or (k.contype in ('c', 'x') and k.conrelid <> all (%(blocked)s::oid[]))
            then pg_get_constraintdef(k.oid)
       end
from pg_constraint k
left join pg_class f on f.oid = k.confrelid
left join pg_namespace fn on fn.oid = f.relnamespace
where k.contype in ('f', 'u', 'c', 'x') and k.conrelid <> 0
  and k.connamespace <> all (array(select oid from pg_namespace
                                   where nspname in ('pg_catalog', 'information_schema', 'pg_toast')))
  and (%(schema)s::text is null or k.connamespace = (select oid from pg_namespace where nspname = %(schema)s))
  and (%(name)s::text is null or k.conrelid in (select oid from pg_class where relname = %(name)s))
order by k.conname
