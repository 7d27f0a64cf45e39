/* pgrunbook: api_roles */
select
  r.rolname::text as name,
  array(
    select g.rolname::text from pg_catalog.pg_roles as g
    where pg_catalog.pg_has_role(r.oid, g.oid, 'usage')
    order by g.rolname
  ) as acts_as,
  r.rolsuper as is_superuser,
  r.rolbypassrls as bypasses_rls
from pg_catalog.pg_roles as r
where r.rolname in ('anon', 'authenticated')
order by r.rolname
