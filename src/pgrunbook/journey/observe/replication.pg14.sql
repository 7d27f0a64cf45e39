/* pgrunbook: replication */
select
  r.pid::int4 as pid,
  r.application_name::text as application_name,
  pg_catalog.host(r.client_addr) as client_address,
  s.slot_name::text as slot,
  coalesce(s.slot_type = 'logical', false) as is_logical,
  r.state as state,
  r.sync_state as sync_state,
  r.replay_lsn is not null as is_replaying,
  p.end_position as end_position,
  pg_catalog.pg_wal_lsn_diff(r.sent_lsn, '0/0')::int8 as sent_position,
  pg_catalog.pg_wal_lsn_diff(r.flush_lsn, '0/0')::int8 as flushed_position,
  pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::int8 as replayed_position,
  extract(epoch from r.replay_lag)::float8 as replay_lag_s,
  extract(epoch from pg_catalog.clock_timestamp() - r.reply_time)::float8 as reply_age_s,
  extract(epoch from pg_catalog.clock_timestamp() - r.backend_start)::float8 as connected_s
from pg_catalog.pg_stat_replication as r
left join pg_catalog.pg_replication_slots as s on s.active_pid = r.pid
cross join lateral (
  select
    pg_catalog.pg_wal_lsn_diff(
      case
        when not pg_catalog.pg_is_in_recovery() then pg_catalog.pg_current_wal_lsn()
        when s.slot_type = 'logical' then pg_catalog.pg_last_wal_replay_lsn()
        else greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
      end,
      '0/0'
    )::int8 as end_position
) as p
order by r.application_name, r.pid
