/* pgrunbook: twin_range_columns */
select
  n.nspname::text as schema,
  c.relname::text as name,
  a.attname::text as column_name
from pg_catalog.pg_attribute as a
join pg_catalog.pg_type as t on t.oid = a.atttypid
join pg_catalog.pg_class as c on c.oid = a.attrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where t.typtype in ('r', 'm')
  and c.relkind in ('r', 'm', 'p')
  and n.nspname <> all (%(ignored_schemas)s)
order by n.nspname, c.relname, a.attname
