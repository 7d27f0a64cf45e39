/* pgrunbook: view_dependencies */
select distinct
  v.oid::int8 as view_oid,
  n.nspname::text as schema,
  v.relname::text as name,
  v.relkind::text as kind,
  c.oid::int8 as source_oid,
  c.relkind::text as source_kind
from pg_catalog.pg_rewrite as r
join pg_catalog.pg_class as v on v.oid = r.ev_class
join pg_catalog.pg_namespace as n on n.oid = v.relnamespace
join pg_catalog.pg_depend as d
  on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.ev_class
join pg_catalog.pg_class as c on c.oid = d.refobjid and c.relkind in ('r', 'p', 'f', 'v', 'm')
where v.relkind in ('v', 'm')
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by 2, 3, 5
