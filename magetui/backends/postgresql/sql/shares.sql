-- For one table: whether another session holds or waits for ACCESS EXCLUSIVE on it; and for each column, from the last
-- ANALYZE, the share of nulls and the most common values with their shares.
with {locked_away}
select c.oid in (select oid from locked_away), s.attname, s.null_frac,
       s.most_common_vals::text::text[], s.most_common_freqs
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname
                    and s.attname = any (%(columns)s) and not s.inherited
where n.nspname = %(schema)s and c.relname = %(table)s
