/* pgrunbook: column_statistics */
select
  c.oid::int8 as table_oid,
  s.attname::text as name,
  s.inherited as is_inherited,
  s.null_frac::numeric::float8 as null_ratio,
  s.avg_width::int4 as average_width_bytes,
  s.n_distinct::numeric::float8 as n_distinct,
  s.correlation::numeric::float8 as correlation,
  coalesce(s.most_common_freqs[1:10], '{}')::numeric[]::float8[] as most_common_freqs,
  coalesce(pg_catalog.array_length(s.most_common_freqs, 1), 0)::int4 as most_common_count,
  coalesce(s.most_common_elem_freqs[1:10], '{}')::numeric[]::float8[] as most_common_element_freqs,
  coalesce(pg_catalog.array_length(s.most_common_elem_freqs, 1), 0)::int4 as most_common_element_count
from pg_catalog.pg_stats as s
join pg_catalog.pg_namespace as n on n.nspname = s.schemaname
join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = s.tablename
where s.schemaname <> all (%(ignored_schemas)s)
  and s.schemaname not like 'pg\_temp\_%%' and s.schemaname not like 'pg\_toast\_temp\_%%'
order by c.oid, s.attname, s.inherited
