/* pgrunbook: policies */
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
  pg_catalog.pg_get_expr(p.polqual, p.polrelid) as using_expression,
  pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) as check_expression
from pg_catalog.pg_policy as p
join pg_catalog.pg_class as c on c.oid = p.polrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname <> all (%(ignored_schemas)s)
  and p.polrelid::int8 <> all (%(skip)s::int8[])
order by n.nspname, c.relname, p.polname
