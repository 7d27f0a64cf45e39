/* pgrunbook: triggers */
select
  g.oid::int8 as oid,
  g.tgname::text as name,
  g.tgrelid::int8 as table_oid,
  n.nspname::text as schema,
  t.relname::text as table_name,
  t.relkind::text as table_kind,
  p.proname::text as function_name,
  pn.nspname::text as function_schema,
  g.tgenabled::text as enabled,
  g.tgisinternal as is_internal,
  coalesce(g.tgparentid, 0)::int8 as parent_oid,
  x.conname::text as constraint_name,
  x.contype::text as constraint_kind
from pg_catalog.pg_trigger as g
join pg_catalog.pg_class as t on t.oid = g.tgrelid
join pg_catalog.pg_namespace as n on n.oid = t.relnamespace
join pg_catalog.pg_proc as p on p.oid = g.tgfoid
join pg_catalog.pg_namespace as pn on pn.oid = p.pronamespace
left join pg_catalog.pg_constraint as x on x.oid = g.tgconstraint
where (not g.tgisinternal or g.tgenabled <> 'O')
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by n.nspname, t.relname, g.tgname
