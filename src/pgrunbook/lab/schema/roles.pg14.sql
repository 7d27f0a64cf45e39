/* pgrunbook: roles */
select
  r.rolname::text as name,
  r.rolinherit as inherits,
  r.rolcreaterole as creates_roles,
  r.rolcreatedb as creates_databases,
  r.rolbypassrls as bypasses_rls,
  r.rolreplication as replicates,
  array(
    select g.rolname::text
    from pg_catalog.pg_auth_members as m
    join pg_catalog.pg_roles as g on g.oid = m.roleid
    where m.member = r.oid
    order by g.rolname
  ) as member_of
from pg_catalog.pg_roles as r
order by r.oid
