/* pgrunbook: roles */
with
owned as (
  select c.relowner as role_oid, pg_catalog.count(*) as tables
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'm') and n.nspname <> all (%(ignored_schemas)s) and n.nspname not like 'pg\_temp\_%%'
  group by c.relowner
),
granted as (
  select x.grantee as role_oid, pg_catalog.count(distinct c.oid) as tables
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  cross join lateral pg_catalog.aclexplode(c.relacl) as x
  where c.relkind in ('r', 'p', 'm', 'v') and n.nspname <> all (%(ignored_schemas)s)
    and n.nspname not like 'pg\_temp\_%%'
    and x.grantee <> c.relowner and x.grantee <> 0
    and x.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
  group by x.grantee
)
select
  r.oid::int8 as oid,
  r.rolname::text as name,
  r.rolcanlogin as may_login,
  r.rolsuper as is_superuser,
  r.rolreplication as may_replicate,
  r.rolbypassrls as bypasses_rls,
  r.rolinherit as inherits,
  r.rolcreaterole as may_create_roles,
  r.rolcreatedb as may_create_databases,
  r.rolconnlimit::int4 as connection_limit,
  r.rolvaliduntil as valid_until,
  array(
    select g.rolname::text
    from pg_catalog.pg_auth_members as m
    join pg_catalog.pg_roles as g on g.oid = m.roleid
    where m.member = r.oid
    order by g.rolname
  ) as member_of,
  coalesce(o.tables, 0)::int8 as owned_tables,
  coalesce(g.tables, 0)::int8 as granted_tables,
  pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'connect') as may_connect
from pg_catalog.pg_roles as r
left join owned as o on o.role_oid = r.oid
left join granted as g on g.role_oid = r.oid
order by r.rolname
