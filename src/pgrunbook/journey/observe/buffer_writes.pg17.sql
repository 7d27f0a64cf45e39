/* pgrunbook: buffer_writes */
select
  c.buffers_written::int8 as checkpoint_pages,
  b.buffers_clean::int8 as background_pages,
  io.pages::int8 as session_pages,
  b.maxwritten_clean::int8 as background_stops,
  extract(epoch from pg_catalog.clock_timestamp() - b.stats_reset)::float8 as counters_age_s
from pg_catalog.pg_stat_bgwriter as b
cross join pg_catalog.pg_stat_checkpointer as c
cross join (
  select coalesce(pg_catalog.sum(i.writes), 0) as pages
  from pg_catalog.pg_stat_io as i
  where i.backend_type = 'client backend' and i.object = 'relation' and i.context = 'normal'
) as io
