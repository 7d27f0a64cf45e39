/* pgrunbook: buffer_writes */
select
  b.buffers_checkpoint::int8 as checkpoint_pages,
  b.buffers_clean::int8 as background_pages,
  b.buffers_backend::int8 as session_pages,
  b.maxwritten_clean::int8 as background_stops,
  extract(epoch from pg_catalog.clock_timestamp() - b.stats_reset)::float8 as counters_age_s
from pg_catalog.pg_stat_bgwriter as b
