/* pgrunbook: policy_outlines */
select
  p.oid::int8 as oid,
  p.polrelid::int8 as table_oid,
  n.nspname::text as schema,
  c.relname::text as table_name,
  p.polname::text as name,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end
    as command,
  p.polpermissive as is_permissive,
  array(
    select coalesce(r.rolname::text, 'public')
    from pg_catalog.unnest(p.polroles) as k (oid)
    left join pg_catalog.pg_roles as r on r.oid = k.oid
    order by 1
  ) as roles,
  p.polqual is not null as has_using,
  p.polwithcheck is not null as has_check,
  array(
    select distinct d.refobjid::int8 from pg_catalog.pg_depend as d
    where d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid
      and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    order by 1
  ) as function_oids
from pg_catalog.pg_policy as p
join pg_catalog.pg_class as c on c.oid = p.polrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%'
order by n.nspname, c.relname, p.polname
