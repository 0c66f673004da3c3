-- Bytes with indexes, in pages of 8 kB. An allocation unit of row overflow (type 2) belongs to a partition; the other
-- units belong to the partition's heap or B-tree (sys.allocation_units).
select p.object_id, sum(a.total_pages) * 8192 as bytes
from sys.partitions as p
join sys.allocation_units as a
  on (a.type in (1, 3) and a.container_id = p.hobt_id) or (a.type = 2 and a.container_id = p.partition_id)
group by p.object_id
