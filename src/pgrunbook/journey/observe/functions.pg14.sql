/* pgrunbook: functions */
select
  p.oid::int8 as oid,
  n.nspname::text as schema,
  p.proname::text as name,
  pg_catalog.pg_get_function_identity_arguments(p.oid) as arguments,
  l.lanname::text as language,
  p.prokind::text as kind,
  p.provolatile::text as volatility,
  p.prosecdef as security_definer,
  p.proretset as returns_set,
  p.pronargs::int4 as argument_count,
  coalesce(p.proconfig, '{}')::text[] as settings,
  r.rolname::text as owner,
  case when l.lanname in ('sql', 'plpgsql') then pg_catalog.left(p.prosrc, 32768) end as source,
  p.prosqlbody is not null as has_parsed_body,
  array(
    select d.refobjid::int8 from pg_catalog.pg_depend as d
    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid
      and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    order by 1
  ) as called_oids,
  exists (
    select from pg_catalog.pg_depend as d
    where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid
      and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'
  ) as of_extension
from pg_catalog.pg_proc as p
join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
join pg_catalog.pg_language as l on l.oid = p.prolang
left join pg_catalog.pg_roles as r on r.oid = p.proowner
where n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%'
order by n.nspname, p.proname, arguments
