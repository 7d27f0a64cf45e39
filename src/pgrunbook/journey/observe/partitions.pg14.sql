/* pgrunbook: partitions */
select
  c.oid::int8 as oid,
  h.inhparent::int8 as parent_oid,
  n.nspname::text as schema,
  c.relname::text as name,
  c.relkind::text as kind,
  p.partstrat::text as strategy,
  p.partnatts::int4 as key_count,
  coalesce(a.attname, '')::text as key_column,
  coalesce(pg_catalog.format_type(a.atttypid, a.atttypmod), '') as key_type,
  (p.partdefid = c.oid) as is_default,
  pg_catalog.pg_get_expr(c.relpartbound, 0) as bound
from pg_catalog.pg_partitioned_table as p
join pg_catalog.pg_inherits as h on h.inhparent = p.partrelid
join pg_catalog.pg_class as c on c.oid = h.inhrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_attribute as a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0] and a.attnum > 0
where n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by h.inhparent, n.nspname, c.relname
