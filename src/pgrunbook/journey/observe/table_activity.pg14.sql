/* pgrunbook: table_activity */
select
  s.relid::int8 as oid,
  s.seq_scan::int8 as seq_scans,
  s.seq_tup_read::int8 as seq_rows_read,
  coalesce(s.idx_scan, 0)::int8 as index_scans,
  coalesce(s.idx_tup_fetch, 0)::int8 as index_rows_fetched,
  s.n_tup_ins::int8 as rows_inserted,
  s.n_tup_upd::int8 as rows_updated,
  s.n_tup_del::int8 as rows_deleted,
  s.n_tup_hot_upd::int8 as rows_hot_updated,
  s.n_live_tup::int8 as live_rows,
  s.n_dead_tup::int8 as dead_rows,
  s.n_mod_since_analyze::int8 as modified_rows,
  s.n_ins_since_vacuum::int8 as inserted_since_vacuum_rows,
  s.last_vacuum as last_vacuum_at,
  s.last_autovacuum as last_autovacuum_at,
  s.last_analyze as last_analyze_at,
  s.last_autoanalyze as last_autoanalyze_at,
  s.vacuum_count::int8 as vacuums,
  s.autovacuum_count::int8 as autovacuums,
  s.analyze_count::int8 as analyzes,
  s.autoanalyze_count::int8 as autoanalyzes
from pg_catalog.pg_stat_user_tables as s
where s.schemaname <> all (%(ignored_schemas)s)
order by s.relid
