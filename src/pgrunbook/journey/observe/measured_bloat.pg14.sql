/* pgrunbook: measured_bloat */
with
widths as (
  select c.oid, pg_catalog.sum((1 - s.null_frac) * s.avg_width) as data_bytes, c.relpages, c.reltuples
  from pg_catalog.pg_class as c
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  join pg_catalog.pg_am as a on a.oid = c.relam
  join pg_catalog.pg_stats as s on s.schemaname = n.nspname and s.tablename = c.relname and not s.inherited
  where c.relkind in ('r', 'm') and a.amname = 'heap' and c.relpersistence = 'p'
    and c.relpages between 512 and 131072
    and n.nspname <> all (%(ignored_schemas)s)
    and n.nspname not like 'pg\_temp\_%%'
    and c.oid::int8 <> all (%(skip)s::int8[])
  group by c.oid, c.relpages, c.reltuples
),
suspects as materialized (
  select w.oid
  from widths as w
  where w.reltuples >= 0
    and w.reltuples * (w.data_bytes + 36)
      < 0.75 * w.relpages * (pg_catalog.current_setting('block_size')::int4 - 24)
  order by w.relpages - w.reltuples * (w.data_bytes + 36) / 8168 desc
  limit 5
)
select
  k.oid::int8 as oid,
  m.table_len::int8 as size_bytes,
  m.approx_free_space::int8 as free_bytes,
  m.dead_tuple_len::int8 as dead_bytes,
  (m.scanned_percent / 100)::float8 as scanned_ratio
from suspects as k
cross join lateral {extension_schema}.pgstattuple_approx(k.oid::pg_catalog.regclass) as m
order by k.oid
