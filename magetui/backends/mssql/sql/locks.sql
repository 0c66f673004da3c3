-- Locks on the objects of this database, with the object's name. The object of a row, page or heap is known by its
-- partition. The names are read with (nolock), because a session may be altering these tables.
select distinct l.request_session_id, l.request_status, l.request_mode, l.resource_type, l.resource_subtype,
       sc.name as schema_name, o.name as object_name, schema_name() as default_schema,
       case when l.resource_type = N'OBJECT' then N'' else l.resource_description end as description,
       l.resource_associated_entity_id
from sys.dm_tran_locks as l
left join sys.partitions as p with (nolock)
  on p.hobt_id = l.resource_associated_entity_id and l.resource_type in (N'KEY', N'PAGE', N'RID', N'HOBT')
left join sys.objects as o with (nolock)
  on o.object_id = case when l.resource_type = N'OBJECT' then l.resource_associated_entity_id else p.object_id end
left join sys.schemas as sc with (nolock) on sc.schema_id = o.schema_id
where l.resource_database_id = db_id() and l.resource_type <> N'DATABASE'
