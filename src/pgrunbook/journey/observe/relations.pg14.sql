/* pgrunbook: relations */
select
  c.oid::int8 as oid,
  n.nspname::text as schema,
  c.relname::text as name,
  c.relkind::text as kind,
  c.relpersistence::text as persistence,
  c.relispartition as is_partition,
  (
    select case when pg_catalog.count(*) > 0 then pg_catalog.max(i.inhparent::int8) end
    from pg_catalog.pg_inherits as i where i.inhrelid = c.oid and c.relispartition
  ) as parent_oid,
  c.relpages::int8 as pages,
  c.reltuples::float8 as estimated_rows,
  c.relallvisible::int8 as all_visible_pages,
  (c.relpages::int8 * pg_catalog.current_setting('block_size')::int8) as size_bytes,
  t.relpages::int8 as toast_pages,
  c.reltoastrelid::int8 as toast_oid,
  coalesce(c.reloptions, '{}')::text[] as options,
  coalesce(t.reloptions, '{}')::text[] as toast_options,
  c.relrowsecurity as row_security,
  c.relforcerowsecurity as force_row_security,
  c.relreplident::text as replica_identity,
  r.rolname::text as owner,
  pg_catalog.has_table_privilege(c.oid, 'select') as readable,
  exists (
    select from pg_catalog.pg_depend as d
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
      and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'
  ) as of_extension,
  pg_catalog.age(c.relfrozenxid)::int8 as frozen_xid_age,
  case when c.relminmxid::text <> '0' then pg_catalog.mxid_age(c.relminmxid)::int8 end as min_mxid_age
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_roles as r on r.oid = c.relowner
left join pg_catalog.pg_class as t on t.oid = c.reltoastrelid
where c.relkind in ('r', 'p', 'm', 'f', 'v')
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by n.nspname, c.relname
