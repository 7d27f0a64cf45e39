/* pgrunbook: grants */
with
objects as (
  select
    'relation'::text as kind, c.oid, ''::text as column_name, c.relowner as owner, c.relacl as acl
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relacl is not null
    and n.nspname <> all (%(ignored_schemas)s)
    and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
  union all
  select 'column', c.oid, a.attname::text, c.relowner, a.attacl
  from pg_catalog.pg_attribute as a
  join pg_catalog.pg_class as c on c.oid = a.attrelid
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where a.attacl is not null and a.attnum > 0 and not a.attisdropped
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and n.nspname <> all (%(ignored_schemas)s)
    and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
  union all
  select 'function', p.oid, '', p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
  where p.prokind in ('f', 'p')
    and p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
    and p.prorettype <> 'pg_catalog.event_trigger'::pg_catalog.regtype
    and n.nspname <> all (%(ignored_schemas)s) and n.nspname not like 'pg\_temp\_%%'
    and not exists (
      select from pg_catalog.pg_depend as d
      where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid
        and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'
    )
  union all
  select 'schema', n.oid, '', n.nspowner, n.nspacl
  from pg_catalog.pg_namespace as n
  where n.nspacl is not null
    and n.nspname <> all (%(ignored_schemas)s)
    and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
)
select
  o.kind as kind,
  o.oid::int8 as oid,
  o.column_name as column_name,
  case when x.grantee = 0 then 'public' else r.rolname end::text as grantee,
  pg_catalog.array_agg(distinct x.privilege_type order by x.privilege_type)::text[] as privileges,
  coalesce(
    pg_catalog.array_agg(distinct x.privilege_type order by x.privilege_type) filter (where x.is_grantable), '{}'
  )::text[] as grantable
from objects as o
cross join lateral pg_catalog.aclexplode(o.acl) as x
left join pg_catalog.pg_roles as r on r.oid = x.grantee
where x.grantee <> o.owner and (x.grantee = 0 or r.oid is not null)
group by o.kind, o.oid, o.column_name, x.grantee, r.rolname
order by 1, 2, 3, 4
