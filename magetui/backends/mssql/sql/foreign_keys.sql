select f.parent_object_id, f.name, f.referenced_object_id, f.delete_referential_action_desc,
       c.parent_column_id, c.referenced_column_id
from sys.foreign_keys as f
join sys.foreign_key_columns as c on c.constraint_object_id = f.object_id
order by f.parent_object_id, f.name, c.constraint_column_id
