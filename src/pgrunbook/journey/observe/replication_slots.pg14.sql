/* pgrunbook: replication_slots */
select
  s.slot_name::text as name,
  s.slot_type::text as type,
  s.plugin::text as plugin,
  s.database::text as database,
  s.temporary as is_temporary,
  s.active as is_active,
  s.active_pid::int4 as active_pid,
  pg_catalog.age(s.xmin)::int8 as xmin_age,
  pg_catalog.age(s.catalog_xmin)::int8 as catalog_xmin_age,
  s.restart_lsn::text as restart_lsn,
  s.confirmed_flush_lsn::text as confirmed_flush_lsn,
  pg_catalog.pg_wal_lsn_diff(w.lsn, s.restart_lsn)::int8 as retained_bytes,
  s.wal_status as wal_status,
  s.safe_wal_size::int8 as safe_wal_bytes,
  null::float8 as inactive_s,
  false as is_conflicting,
  null::text as invalidation_reason,
  false as is_synced,
  pg_catalog.current_setting('max_slot_wal_keep_size') as max_slot_wal_keep_size
from pg_catalog.pg_replication_slots as s
cross join (
  select
    case
      when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
      else pg_catalog.pg_current_wal_lsn()
    end as lsn
) as w
order by s.slot_name
