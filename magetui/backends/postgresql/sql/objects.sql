-- Every object of users' schemas as (kind, name, table, aspects), where aspects are names and values in turn. A long
-- text is a digest. The functions here take no lock on a table, and need no right on it.
with spaces as (
    select oid, nspname, nspowner, nspacl from pg_namespace
    where left(nspname, 3) <> 'pg_' and nspname <> 'information_schema'
), relations as (
    select c.*, n.nspname, n.nspname || '.' || c.relname as called
    from pg_class c join spaces n on n.oid = c.relnamespace
)
select 'schema', nspname::text, null::text,
       array['owner', pg_get_userbyid(nspowner), 'privileges', 'md5:' || md5(nspacl::text)]::text[]
from spaces
union all
select case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end,
       called, (select o.called from pg_depend d join relations o on o.oid = d.refobjid  -- of a sequence: its table
                where d.classid = 'pg_class'::regclass and d.objid = relations.oid
                  and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and relations.relkind = 'S'),
       array['owner', pg_get_userbyid(relowner), 'privileges', 'md5:' || md5(relacl::text),
             'persistence', relpersistence::text, 'row security', relrowsecurity || ' ' || relforcerowsecurity,
             'options', reloptions::text, 'bounds', 'md5:' || md5(relpartbound::text),
             'definition', (select 'md5:' || md5(string_agg(r.ev_action::text, ' ' order by r.rulename))
                            from pg_rewrite r where r.ev_class = relations.oid)]
from relations where relkind in ('r', 'p', 'v', 'm', 'S', 'f')
union all
select 'column', r.called || '.' || a.attname, r.called,
       array['type', format_type(a.atttypid, a.atttypmod), 'null', case when a.attnotnull then 'not null' else 'null' end,
             'default', 'md5:' || md5(d.adbin::text), 'identity', a.attidentity::text, 'generated', a.attgenerated::text,
             'collation', a.attcollation::text]
from relations r
join pg_attribute a on a.attrelid = r.oid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where r.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped
union all
select 'index', n.nspname || '.' || i.relname, r.called,
       array['state', case when x.indisvalid and x.indisready then 'valid'
                           when i.relkind = 'I' then 'incomplete' else 'invalid' end,  -- 'I': of a partitioned table
             'definition', 'md5:' || md5(concat_ws(' ', x.indkey::text, x.indclass::text, x.indoption::text,
                 x.indcollation::text, x.indisunique, x.indisprimary, x.indexprs::text, x.indpred::text, i.relam))]
from relations r
join pg_index x on x.indrelid = r.oid
join pg_class i on i.oid = x.indexrelid
join pg_namespace n on n.oid = i.relnamespace
union all
select 'constraint', r.called || '.' || k.conname, r.called,
       array['state', case when k.convalidated then 'valid' else 'not validated' end,
             'definition', 'md5:' || md5(concat_ws(' ', k.contype, k.conkey::text, k.confrelid, k.confkey::text,
                 k.confupdtype, k.confdeltype, k.condeferrable, k.condeferred, k.conbin::text))]
from relations r join pg_constraint k on k.conrelid = r.oid
where k.contype <> 'n'
union all
select 'type', n.nspname || '.' || t.typname, null,
       array['owner', pg_get_userbyid(t.typowner),
             'values', (select string_agg(e.enumlabel, ', ' order by e.enumsortorder)
                        from pg_enum e where e.enumtypid = t.oid),
             'definition', 'md5:' || md5(concat_ws(' ', t.typbasetype, t.typtypmod, t.typnotnull, t.typdefaultbin::text))]
from pg_type t join spaces n on n.oid = t.typnamespace
where t.typtype in ('e', 'd') and not exists (
    select 1 from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
union all
select 'function', n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')', null,
       array['owner', pg_get_userbyid(p.proowner),
             'definition', 'md5:' || md5(concat_ws(' ', p.prosrc, p.prosecdef, p.provolatile, p.proconfig::text))]
from pg_proc p join spaces n on n.oid = p.pronamespace
where not exists (
    select 1 from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
union all
select 'trigger', r.called || '.' || t.tgname, r.called,
       array['enabled', t.tgenabled::text, 'definition',
             'md5:' || md5(concat_ws(' ', t.tgfoid, t.tgtype, t.tgattr::text, t.tgargs::text, t.tgqual::text))]
from relations r join pg_trigger t on t.tgrelid = r.oid
where not t.tgisinternal
union all
select 'policy', r.called || '.' || p.polname, r.called,
       array['definition', 'md5:' || md5(concat_ws(' ', p.polcmd, p.polroles::text, p.polqual::text,
                                                   p.polwithcheck::text))]
from relations r join pg_policy p on p.polrelid = r.oid
union all
select 'extension', extname::text, null, array['version', extversion]
from pg_extension
