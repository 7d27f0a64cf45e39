/* pgrunbook: archive_queue */
select
  pg_catalog.count(*)::int8 as waiting,
  extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(f.modification))::float8 as oldest_age_s
from pg_catalog.pg_ls_archive_statusdir() as f
where f.name like '%%.ready'
