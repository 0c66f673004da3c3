-- What surrounds the tables, one row each: its kind, and up to five texts.
with users as (
    select oid, nspname from pg_namespace where left(nspname, 3) <> 'pg_' and nspname <> 'information_schema'
), tables as (
    select c.oid, u.nspname, c.relname, c.relkind, c.relowner
    from pg_class c join users u on u.oid = c.relnamespace
    where c.relkind in ('r', 'p')
)
select 'schema', null::text, nspname::text, null::text, null::text, null::text from users
union all
select 'closed schema', null, nspname, null, null, null from users where not has_schema_privilege(oid, 'create')
union all
select 'relation', u.nspname, c.relname, c.relkind::text, null, null
from pg_class c join users u on u.oid = c.relnamespace where c.relkind in ('v', 'm', 'S', 'f', 'c')
union all
select 'type', n.nspname, t.typname, null, null, null
from pg_type t join pg_namespace n on n.oid = t.typnamespace
where (n.nspname = 'pg_catalog' or n.oid in (select oid from users))
  and t.typrelid = 0 and t.typelem = 0
union all
select distinct 'dependent', t.nspname, t.relname, a.attname,
       case when v.relkind = 'v' then 'view ' || v.relname
            when v.relkind = 'm' then 'materialized view ' || v.relname
            else pg_describe_object(d.classid, d.objid, d.objsubid) end,
       d.deptype::text
from pg_depend d
join tables t on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid
left join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid and d.refobjsubid > 0
left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
left join pg_class v on v.oid = r.ev_class and v.relkind in ('v', 'm')
left join pg_attrdef e on d.classid = 'pg_attrdef'::regclass and e.oid = d.objid
left join pg_attribute g on g.attrelid = e.adrelid and g.attnum = e.adnum
where (d.classid = 'pg_rewrite'::regclass and r.ev_class <> t.oid)
   or (d.classid in ('pg_policy'::regclass, 'pg_trigger'::regclass) and d.refobjsubid > 0)
   or d.classid = 'pg_proc'::regclass
   or (d.classid = 'pg_attrdef'::regclass and g.attgenerated <> '' and d.refobjsubid > 0 and d.refobjsubid <> e.adnum)
   or (d.classid = 'pg_class'::regclass and d.refobjsubid = 0 and d.deptype = 'n')
union all
select 'constraint', t.nspname, t.relname, c.conname, c.contype::text, null
from pg_constraint c join tables t on t.oid = c.conrelid
union all
select 'not owned', nspname, relname, null, null, null from tables where not pg_has_role(relowner, 'usage')
union all
select 'special', t.nspname, t.relname, null, null, null from tables t
where t.relkind = 'p' or exists (select 1 from pg_inherits i where i.inhrelid = t.oid or i.inhparent = t.oid)
union all
select 'event trigger', null, evtname, null, null, null from pg_event_trigger where evtenabled <> 'D'
