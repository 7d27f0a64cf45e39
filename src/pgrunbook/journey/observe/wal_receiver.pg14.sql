/* pgrunbook: wal_receiver */
select
  r.status as status,
  r.sender_host as sender_host,
  r.sender_port::int4 as sender_port,
  r.slot_name as slot,
  pg_catalog.pg_wal_lsn_diff(r.latest_end_lsn, '0/0')::int8 as sender_end_position,
  extract(
    epoch from pg_catalog.clock_timestamp() - r.latest_end_time - (r.last_msg_receipt_time - r.last_msg_send_time)
  )::float8 as sender_end_age_s,
  extract(epoch from pg_catalog.clock_timestamp() - r.last_msg_receipt_time)::float8 as silence_s
from pg_catalog.pg_stat_wal_receiver as r
