select i.object_id, i.name, i.is_primary_key, i.is_unique, i.is_unique_constraint, i.is_disabled, i.filter_definition,
       k.column_id, k.is_included_column, k.is_descending_key
from sys.indexes as i
join sys.tables as t on t.object_id = i.object_id and t.is_ms_shipped = 0
join sys.index_columns as k on k.object_id = i.object_id and k.index_id = i.index_id
where i.type > 0 and i.is_hypothetical = 0
order by i.object_id, i.name, k.is_included_column, k.key_ordinal, k.index_column_id
