-- Every user table with the server's estimates of its rows and its bytes (without indexes), and with its columns if
-- wanted.
--
-- A column is the text 'notnull type modifier name'. A column with a default, an identity or an expression is the text
-- 'notnull,identity,generated type modifier length name expression', where length is the length of the name. A dropped
-- column is an empty text, so that the index of a text gives the column's number. The cost of this query is the number
-- of rows and format_type(). So a table is one row, and a separate query fetches the name of each type once.
-- An expression that could not be read without waiting is chr(26): not every database has an ellipsis.
with {locked_away}
select c.oid, n.nspname, c.relname, r.rolname,
       case when c.reltuples > 0 then c.reltuples::bigint else nullif(pg_stat_get_live_tuples(c.oid), 0) end,
       case when c.relpages > 0
            then (c.relpages + coalesce(t.relpages, 0)) * (select current_setting('block_size')::bigint)
       end,
       case when %(with_columns)s then array(
           select case when a.attisdropped then ''
                       when a.atthasdef or a.attidentity <> ''
                       then concat(a.attnotnull, ',', a.attidentity, ',', a.attgenerated, ' ',
                                   a.atttypid, ' ', a.atttypmod, ' ', length(a.attname), ' ', a.attname, ' ',
                                   (select case when d.adrelid in (select oid from locked_away) then chr(26)
                                                else pg_get_expr(d.adbin, d.adrelid) end
                                    from pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum))
                       else concat(case when a.attnotnull then 't ' else 'f ' end,
                                   a.atttypid, ' ', a.atttypmod, ' ', a.attname)
                  end
           from pg_attribute a
           where a.attrelid = c.oid and a.attnum > 0
           order by a.attnum)
       end
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_roles r on r.oid = c.relowner
-- The TOAST table. The coalesce() keeps the planner from scanning the few large TOAST tables once for each table.
left join pg_class t on t.oid = c.reltoastrelid and coalesce(t.relpages, 0) > 16
where c.relkind in ('r', 'p') and c.relpersistence <> 't'
  and c.relnamespace <> all (array(select oid from pg_namespace
                                   where nspname in ('pg_catalog', 'information_schema', 'pg_toast')))
  and (%(schema)s::text is null or n.nspname = %(schema)s)
  and (%(name)s::text is null or c.relname = %(name)s)
