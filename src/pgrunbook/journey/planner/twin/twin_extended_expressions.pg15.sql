/* pgrunbook: twin_extended_expressions */
select
  s.statistics_schemaname::text as schema,
  s.statistics_name::text as name,
  s.schemaname::text as table_schema,
  s.tablename::text as table_name,
  s.inherited as is_inherited,
  s.expr as expression,
  s.null_frac::text as null_ratio,
  s.avg_width::text as average_width_bytes,
  s.n_distinct::text as n_distinct,
  s.most_common_vals::text as most_common_values,
  s.most_common_freqs::text as most_common_ratios,
  s.histogram_bounds::text as histogram_bounds,
  s.correlation::text as correlation
from pg_catalog.pg_stats_ext_exprs as s
where s.statistics_schemaname <> all (%(ignored_schemas)s)
order by s.statistics_schemaname, s.statistics_name, is_inherited
