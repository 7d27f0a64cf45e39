/* pgrunbook: session_tally */
select
  t.now_at as sampled_at,
  a.datname::text as database,
  a.usename::text as role,
  pg_catalog.count(*)::int4 as sessions,
  (pg_catalog.count(*) filter (where a.state = 'active'))::int4 as active,
  (pg_catalog.count(*) filter (where a.state in ('idle in transaction', 'idle in transaction (aborted)')))::int4
    as in_transaction,
  (pg_catalog.count(*) filter (where a.state = 'idle'))::int4 as idle,
  (pg_catalog.count(*) filter (where a.state = 'active' and a.wait_event_type = 'Lock'))::int4 as waiting,
  (pg_catalog.count(*) filter (where a.backend_type is null))::int4 as unseen,
  pg_catalog.max(extract(epoch from t.now_at - a.xact_start))::float8 as longest_transaction_s
from pg_catalog.pg_stat_activity as a
cross join (select pg_catalog.statement_timestamp() as now_at) as t
where a.datname is not null
  and a.usename is not null
  and (a.backend_type = 'client backend' or a.backend_type is null)
  and a.pid <> pg_catalog.pg_backend_pid()
  and a.application_name not like 'pgrunbook/%%'
group by t.now_at, a.datname, a.usename
order by a.datname, a.usename
