select s.name as schema_name, t.name as table_name, schema_name() as default_schema,
       case when c.column_id is null then 0 else 1 end as has_column
from sys.tables as t
join sys.schemas as s on s.schema_id = t.schema_id
left join sys.columns as c on c.object_id = t.object_id and c.name = N'version_num'
where t.name = {name}
order by s.name
