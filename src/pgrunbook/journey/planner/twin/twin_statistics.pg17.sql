/* pgrunbook: twin_statistics */
select
  s.schemaname::text as schema,
  s.tablename::text as name,
  s.attname::text as column_name,
  s.inherited as is_inherited,
  s.null_frac::text as null_ratio,
  s.avg_width::text as average_width_bytes,
  s.n_distinct::text as n_distinct,
  s.most_common_vals::text as most_common_values,
  s.most_common_freqs::text as most_common_ratios,
  s.histogram_bounds::text as histogram_bounds,
  s.correlation::text as correlation,
  s.most_common_elems::text as most_common_elements,
  s.most_common_elem_freqs::text as most_common_element_ratios,
  s.elem_count_histogram::text as element_count_histogram,
  s.range_length_histogram::text as range_length_histogram,
  s.range_empty_frac::text as range_empty_ratio,
  s.range_bounds_histogram::text as range_bounds_histogram
from pg_catalog.pg_stats as s
where s.schemaname <> all (%(ignored_schemas)s)
  and s.schemaname not like 'pg\_temp\_%%' and s.schemaname not like 'pg\_toast\_temp\_%%'
order by s.schemaname, s.tablename, s.attname, s.inherited
