/* pgrunbook: default_privileges */
select
  o.rolname::text as owner,
  n.nspname::text as schema,
  d.defaclobjtype::text as object_type,
  case when x.grantee = 0 then 'public' else r.rolname end::text as grantee,
  pg_catalog.array_agg(distinct x.privilege_type order by x.privilege_type)::text[] as privileges
from pg_catalog.pg_default_acl as d
join pg_catalog.pg_roles as o on o.oid = d.defaclrole
left join pg_catalog.pg_namespace as n on n.oid = d.defaclnamespace
cross join lateral pg_catalog.aclexplode(d.defaclacl) as x
left join pg_catalog.pg_roles as r on r.oid = x.grantee
where x.grantee <> d.defaclrole
  and (x.grantee = 0 or r.oid is not null)
  and (d.defaclnamespace = 0 or n.oid is not null)
group by o.rolname, n.nspname, d.defaclobjtype, x.grantee, r.rolname
order by 2 nulls first, 1, 3, 4
