-- Foreign keys and all other constraints except primary keys and NOT NULL (which is in pg_constraint since PostgreSQL
-- 18). The definitions of checks and exclusions are left out for locked tables, because printing them locks the table.
-- If not all tables are read, a foreign key has the referred names: schema, table and columns.
with {locked_away}
select k.conrelid, k.conname, k.contype, k.conkey, k.confrelid, k.confkey, k.confdeltype,
       case when k.contype = 'f' and (%(schema)s::text is not null or %(name)s::text is not null)
            then (select array[n.nspname::text, c.relname::text] || array(
                             select a.attname::text
                             from unnest(k.confkey) with ordinality as o (number, position)
                             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = o.number
                             order by o.position)
                  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = k.confrelid)
       end,
       case when k.contype = 'u' or (k.contype in ('c', 'x') and k.conrelid not in (select oid from locked_away))
            then pg_get_constraintdef(k.oid)
       end
from pg_constraint k
where k.contype in ('f', 'u', 'c', 'x') and k.conrelid <> 0
  and k.connamespace <> all (array(select oid from pg_namespace
                                   where nspname in ('pg_catalog', 'information_schema', 'pg_toast')))
  and (%(schema)s::text is null or k.connamespace = (select oid from pg_namespace where nspname = %(schema)s))
  and (%(name)s::text is null or k.conrelid in (select oid from pg_class where relname = %(name)s))
