/* pgrunbook: statements_info */
select
  i.dealloc::int8 as evictions,
  i.stats_reset as stats_reset,
  pg_catalog.clock_timestamp() as read_at,
  pg_catalog.current_setting('pg_stat_statements.max')::int4 as max_statements,
  pg_catalog.current_setting('pg_stat_statements.track') as track
from {extension_schema}.pg_stat_statements_info as i
