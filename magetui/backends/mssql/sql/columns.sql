select c.object_id, c.column_id, c.name, y.name as type_name, c.max_length, c.precision, c.scale, c.is_nullable,
       c.is_identity, d.definition as default_definition, m.definition as computed, m.is_persisted
from sys.columns as c
join sys.tables as t on t.object_id = c.object_id and t.is_ms_shipped = 0
join sys.types as y on y.user_type_id = c.user_type_id
left join sys.default_constraints as d on d.object_id = c.default_object_id
left join sys.computed_columns as m on m.object_id = c.object_id and m.column_id = c.column_id
order by c.object_id, c.column_id
