/* pgrunbook: extended_statistics */
select
  s.oid::int8 as oid,
  n.nspname::text as schema,
  s.stxname::text as name,
  s.stxrelid::int8 as table_oid,
  array(
    select a.attname::text
    from pg_catalog.unnest(s.stxkeys::pg_catalog.int2[]) as k (attnum)
    join pg_catalog.pg_attribute as a on a.attrelid = s.stxrelid and a.attnum = k.attnum
    order by a.attname
  ) as columns,
  array(select k::text from pg_catalog.unnest(s.stxkind) as k order by 1) as kinds,
  (s.stxexprs is not null) as has_expressions
from pg_catalog.pg_statistic_ext as s
join pg_catalog.pg_namespace as n on n.oid = s.stxnamespace
where n.nspname <> all (%(ignored_schemas)s)
order by s.oid
