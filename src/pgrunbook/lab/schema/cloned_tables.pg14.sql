/* pgrunbook: cloned_tables */
with recursive wanted as (
  select o.oid::oid as oid from unnest(%(oids)s::int8[]) as o (oid)
  union
  select i.inhrelid from wanted as w join pg_catalog.pg_inherits as i on i.inhparent = w.oid
)
select
  n.nspname::text as schema,
  c.relname::text as name,
  pg_catalog.pg_table_size(c.oid)::int8 as size_bytes,
  pg_catalog.row_security_active(c.oid) as hides_rows
from wanted as w
join pg_catalog.pg_class as c on c.oid = w.oid and c.relkind in ('r', 'm')
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
order by n.nspname, c.relname
