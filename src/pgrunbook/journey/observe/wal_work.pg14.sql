/* pgrunbook: wal_work */
select
  w.wal_records::int8 as records,
  w.wal_fpi::int8 as page_images,
  w.wal_bytes::int8 as wal_bytes,
  w.wal_buffers_full::int8 as buffers_full,
  extract(epoch from pg_catalog.clock_timestamp() - w.stats_reset)::float8 as counters_age_s
from pg_catalog.pg_stat_wal as w
