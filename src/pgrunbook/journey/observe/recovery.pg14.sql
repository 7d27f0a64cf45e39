/* pgrunbook: recovery */
select
  r.is_standby as is_standby,
  case
    when r.is_standby then pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_receive_lsn(), '0/0')::int8
  end as received_position,
  case
    when r.is_standby then pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0')::int8
  end as replayed_position,
  case when r.is_standby then pg_catalog.pg_get_wal_replay_pause_state() end as pause_state,
  case
    when r.is_standby then extract(
      epoch from pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()
    )::float8
  end as last_transaction_age_s,
  s.follows_primary as follows_primary,
  s.min_apply_delay_s as min_apply_delay_s,
  s.receiver_timeout_s as receiver_timeout_s,
  (
    select a.wait_event
    from pg_catalog.pg_stat_activity as a
    where a.backend_type = 'startup'
    limit 1
  ) as startup_waits_for
from (select pg_catalog.pg_is_in_recovery() as is_standby) as r
cross join (
  select
    pg_catalog.bool_or(p.setting <> '') filter (where p.name = 'primary_conninfo') as follows_primary,
    pg_catalog.max(p.setting::float8 / 1000) filter (where p.name = 'recovery_min_apply_delay') as min_apply_delay_s,
    pg_catalog.max(p.setting::float8 / 1000) filter (where p.name = 'wal_receiver_timeout') as receiver_timeout_s
  from pg_catalog.pg_settings as p
  where p.name in ('primary_conninfo', 'recovery_min_apply_delay', 'wal_receiver_timeout')
) as s
