/* pgrunbook: twin_extended */
select
  n.nspname::text as schema,
  e.stxname::text as name,
  t.nspname::text as table_schema,
  c.relname::text as table_name,
  e.stxkeys::int2[]::int4[] as attnums,
  false as is_inherited,
  (s.statistics_name is not null) as is_readable,
  s.n_distinct::text as n_distinct,
  s.dependencies::text as dependencies,
  s.most_common_vals::text[] as most_common_values,
  s.most_common_freqs::float8[] as most_common_ratios,
  s.most_common_base_freqs::float8[] as most_common_base_ratios
from pg_catalog.pg_statistic_ext as e
join pg_catalog.pg_namespace as n on n.oid = e.stxnamespace
join pg_catalog.pg_class as c on c.oid = e.stxrelid
join pg_catalog.pg_namespace as t on t.oid = c.relnamespace
left join pg_catalog.pg_stats_ext as s on s.statistics_schemaname = n.nspname and s.statistics_name = e.stxname
where n.nspname <> all (%(ignored_schemas)s)
order by n.nspname, e.stxname, is_inherited
