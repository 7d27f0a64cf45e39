/* pgrunbook: missing_types */
select distinct
  n.nspname::text as schema,
  t.typname::text as name,
  t.typtype::text as kind,
  t.typmodin <> 0 as takes_modifiers,
  case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end as base,
  array(
    select e.enumlabel::text from pg_catalog.pg_enum as e where e.enumtypid = t.oid order by e.enumsortorder
  ) as labels
from pg_catalog.pg_depend as u
join pg_catalog.pg_type as used on used.oid = u.refobjid
join pg_catalog.pg_type as t on t.oid = case when used.typelem <> 0 and used.typlen = -1 then used.typelem else used.oid end
join pg_catalog.pg_namespace as n on n.oid = t.typnamespace
join pg_catalog.pg_depend as m
  on m.classid = 'pg_catalog.pg_type'::regclass and m.objid = t.oid and m.deptype = 'e'
join pg_catalog.pg_extension as x on x.oid = m.refobjid
where u.refclassid = 'pg_catalog.pg_type'::regclass
  and x.extname = any (%(extensions)s)
  and t.typtype in ('b', 'd', 'e')
  and not exists (
    select from pg_catalog.pg_depend as o
    where o.classid = u.classid and o.objid = u.objid and o.deptype = 'e'
  )
order by schema, name
