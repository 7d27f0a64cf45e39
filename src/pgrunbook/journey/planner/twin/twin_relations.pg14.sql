/* pgrunbook: twin_relations */
select
  c.oid::int8 as oid,
  n.nspname::text as schema,
  c.relname::text as name,
  c.relkind::text as kind,
  c.relpages::int8 as pages,
  c.reltuples::float8 as estimated_rows,
  c.relallvisible::int8 as all_visible_pages,
  coalesce(m.amname, '')::text as access_method,
  case
    when c.relkind in ('i', 'I') then true
    else pg_catalog.has_table_privilege(c.oid, 'select') and not pg_catalog.row_security_active(c.oid)
  end as statistics_readable
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_am as m on m.oid = c.relam
where c.relkind in ('r', 'm', 'p', 'i', 'I')
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by n.nspname, c.relname
