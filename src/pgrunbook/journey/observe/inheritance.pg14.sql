/* pgrunbook: inheritance */
select
  i.inhrelid::int8 as oid,
  i.inhparent::int8 as parent_oid
from pg_catalog.pg_inherits as i
join pg_catalog.pg_class as c on c.oid = i.inhrelid
where c.relkind in ('r', 'f') and not c.relispartition
order by 1, 2
