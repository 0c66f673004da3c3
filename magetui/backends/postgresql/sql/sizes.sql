-- The bytes of the rows alone, and the bytes with indexes and TOAST. Both functions lock the table with ACCESS SHARE.
with {locked_away}
select c.oid, pg_relation_size(c.oid), pg_total_relation_size(c.oid)
from pg_class c
where c.oid = any (%(tables)s::oid[]) and c.relkind = 'r' and c.oid not in (select oid from locked_away)
