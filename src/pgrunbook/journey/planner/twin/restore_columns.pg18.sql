/* pgrunbook: restore_columns */
select
  pg_catalog.pg_restore_attribute_stats(
    'schemaname', r.schema,
    'relname', r.name,
    'attname', case when c.relkind not in ('i', 'I') then r.column_name end,
    'attnum', case when c.relkind in ('i', 'I') then a.attnum end,
    'inherited', r.is_inherited::bool,
    'null_frac', r.null_ratio::float4,
    'avg_width', r.average_width_bytes::int4,
    'n_distinct', r.n_distinct::float4,
    'most_common_vals', r.most_common_values,
    'most_common_freqs', r.most_common_ratios::float4[],
    'histogram_bounds', case
      when r.low is null or r.high is null then r.histogram_bounds
      else (
        array[r.low]
        || (r.histogram_bounds::text[])[2:pg_catalog.cardinality(r.histogram_bounds::text[]) - 1]
        || array[r.high]
      )::text
    end,
    'correlation', r.correlation::float4,
    'most_common_elems', r.most_common_elements,
    'most_common_elem_freqs', r.most_common_element_ratios::float4[],
    'elem_count_histogram', r.element_count_histogram::float4[],
    'range_length_histogram', r.range_length_histogram,
    'range_empty_frac', r.range_empty_ratio::float4,
    'range_bounds_histogram', r.range_bounds_histogram
  ) as is_taken,
  r.schema,
  r.name,
  r.column_name
from unnest(
  %(schema)s::text[], %(name)s::text[], %(column_name)s::text[], %(is_inherited)s::text[], %(null_ratio)s::text[],
  %(average_width_bytes)s::text[], %(n_distinct)s::text[], %(most_common_values)s::text[],
  %(most_common_ratios)s::text[], %(histogram_bounds)s::text[], %(correlation)s::text[],
  %(most_common_elements)s::text[], %(most_common_element_ratios)s::text[], %(element_count_histogram)s::text[],
  %(range_length_histogram)s::text[], %(range_empty_ratio)s::text[], %(range_bounds_histogram)s::text[],
  %(low)s::text[], %(high)s::text[]
) as r(
  schema, name, column_name, is_inherited, null_ratio, average_width_bytes, n_distinct, most_common_values,
  most_common_ratios, histogram_bounds, correlation, most_common_elements, most_common_element_ratios,
  element_count_histogram, range_length_histogram, range_empty_ratio, range_bounds_histogram, low, high
)
join pg_catalog.pg_namespace as n on n.nspname = r.schema
join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = r.name
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attname = r.column_name and not a.attisdropped
