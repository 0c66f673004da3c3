-- Every index with its columns' numbers, where 0 is an expression, and with the number of key columns if it has other
-- columns too. An index is in its table's schema. If the numbers do not describe an index completely (an expression, a
-- condition, an order, included columns, another method or operator class), it has a definition too, but not on a
-- locked table: printing an expression locks the table with ACCESS SHARE.
with {locked_away}
select i.indrelid, ic.relname, i.indisprimary, i.indisunique, i.indisvalid, i.indkey,
       nullif(i.indnkeyatts, i.indnatts),
       case when i.indexprs is not null and i.indrelid not in (select oid from locked_away)
            then array(select pg_get_indexdef(i.indexrelid, k, true) from generate_series(1, i.indnkeyatts) k)
       end,
       case when i.indisprimary or i.indexprs is null and i.indpred is null and i.indnatts = i.indnkeyatts
                 and ic.relam = 403 -- btree, in pg_am.dat
                 and translate(i.indoption::text, ' 0', '') = ''
                 and not i.indclass::oid[] && array(select oid from pg_opclass
                                                       where opcmethod = 403 and not opcdefault)
            then null
            when i.indrelid not in (select oid from locked_away) then pg_get_indexdef(i.indexrelid)
       end
from pg_index i
join pg_class ic on ic.oid = i.indexrelid
where ic.relnamespace <> all (array(select oid from pg_namespace
                                    where nspname in ('pg_catalog', 'information_schema', 'pg_toast')))
  and (%(schema)s::text is null or ic.relnamespace = (select oid from pg_namespace where nspname = %(schema)s))
  and (%(name)s::text is null or i.indrelid in (select oid from pg_class where relname = %(name)s))
