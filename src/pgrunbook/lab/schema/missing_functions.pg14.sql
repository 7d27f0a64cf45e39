/* pgrunbook: missing_functions */
select distinct
  n.nspname::text as schema,
  p.proname::text as name,
  pg_catalog.pg_get_function_identity_arguments(p.oid) as arguments,
  pg_catalog.format_type(p.prorettype, null) as returns,
  p.proretset as returns_set,
  p.provolatile::text as volatility
from pg_catalog.pg_depend as u
join pg_catalog.pg_proc as p on p.oid = u.refobjid
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
join pg_catalog.pg_depend as m
  on m.classid = 'pg_catalog.pg_proc'::regclass and m.objid = p.oid and m.deptype = 'e'
join pg_catalog.pg_extension as x on x.oid = m.refobjid
where u.refclassid = 'pg_catalog.pg_proc'::regclass
  and x.extname = any (%(extensions)s)
  and p.prokind = 'f'
  and not exists (
    select from pg_catalog.pg_depend as o
    where o.classid = u.classid and o.objid = u.objid and o.deptype = 'e'
  )
order by schema, name, arguments
