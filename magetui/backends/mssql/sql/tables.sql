select t.object_id, s.name as schema_name, t.name as table_name, u.name as owner, p.row_count
from sys.tables as t
join sys.schemas as s on s.schema_id = t.schema_id
left join sys.database_principals as u on u.principal_id = coalesce(t.principal_id, s.principal_id)
left join (select object_id, sum(rows) as row_count from sys.partitions where index_id in (0, 1) group by object_id) as p
  on p.object_id = t.object_id
where t.is_ms_shipped = 0 and s.name = coalesce({schema}, s.name) and t.name = coalesce({name}, t.name)
order by s.name, t.name
