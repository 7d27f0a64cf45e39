/* pgrunbook: index_usage */
select
  s.indexrelid::int8 as oid,
  s.idx_scan::int8 as scans,
  s.idx_tup_read::int8 as rows_read,
  s.idx_tup_fetch::int8 as rows_fetched,
  null::timestamptz as last_scan_at
from pg_catalog.pg_stat_user_indexes as s
where s.schemaname <> all (%(ignored_schemas)s)
order by s.indexrelid
