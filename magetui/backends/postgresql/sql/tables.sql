-- Every user's table with the server's estimates of its rows and (without indexes) its bytes; on demand with its
-- columns.
--
-- A column is the text 'notnull type modifier name', and one with a default, an identity or an expression is
-- 'notnull,identity,generated type modifier length name expression', the length being the name's. A dropped one is
-- an empty text, so that the place tells the number. Rows and format_type() are what costs here: so one row a
-- table, and the types' names are fetched apart, once each.
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
                                   (select case when d.adrelid in (select oid from locked_away) then '…'
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
-- What a table has of TOAST; the coalesce() keeps the planner from walking through the few large ones for each table.
left join pg_class t on t.oid = c.reltoastrelid and coalesce(t.relpages, 0) > 16
where c.relkind in ('r', 'p') and c.relpersistence <> 't'
  and c.relnamespace <> all (array(select oid from pg_namespace
                                   where nspname in ('pg_catalog', 'information_schema', 'pg_toast')))
  and (%(schema)s::text is null or n.nspname = %(schema)s)
  and (%(name)s::text is null or c.relname = %(name)s)
