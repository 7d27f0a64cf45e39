/* pgrunbook: installed_extensions */
select
  e.extname::text as name,
  n.nspname::text as schema,
  e.extversion as version,
  e.extrelocatable as is_relocatable,
  r.rolname::text as owner
from pg_catalog.pg_extension as e
join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
left join pg_catalog.pg_roles as r on r.oid = e.extowner
order by e.extname
