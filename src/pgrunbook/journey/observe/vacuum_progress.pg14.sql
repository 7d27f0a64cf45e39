/* pgrunbook: vacuum_progress */
select
  p.pid::int4 as pid,
  p.datname::text as database,
  p.relid::int8 as table_oid,
  p.phase as phase,
  p.heap_blks_total::int8 as heap_pages,
  p.heap_blks_scanned::int8 as heap_pages_scanned,
  p.index_vacuum_count::int8 as index_passes
from pg_catalog.pg_stat_progress_vacuum as p
order by p.pid
