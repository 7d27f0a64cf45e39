/* pgrunbook: sessions */
select
  a.pid::int4 as pid,
  (a.pid = pg_catalog.pg_backend_pid()) as is_self,
  a.backend_type as backend_type,
  a.datname::text as database,
  a.usename::text as role,
  a.application_name as application,
  coalesce(pg_catalog.host(a.client_addr), case when a.client_port = -1 then 'local' end) as client,
  a.state as state,
  a.backend_start as backend_started_at,
  a.xact_start as transaction_started_at,
  a.query_start as query_started_at,
  a.state_change as state_changed_at,
  extract(epoch from t.now_at - a.backend_start)::float8 as backend_age_s,
  extract(epoch from t.now_at - a.xact_start)::float8 as transaction_age_s,
  extract(epoch from t.now_at - a.query_start)::float8 as query_age_s,
  extract(epoch from t.now_at - a.state_change)::float8 as state_age_s,
  a.wait_event_type as wait_event_type,
  a.wait_event as wait_event,
  pg_catalog.age(a.backend_xid)::int8 as xid_age,
  pg_catalog.age(a.backend_xmin)::int8 as xmin_age,
  a.leader_pid::int4 as leader_pid,
  a.query_id::int8 as query_id,
  case
    when a.backend_type is null or a.query is null then null
    when d.encoding is distinct from h.encoding and a.datid <> 0 then '(a database in another encoding)'
    else (
      select
        pg_catalog.left(
          pg_catalog.ltrim(
            pg_catalog.string_agg(
              case when k.token[1] is not null then k.token[1] when k.token[4] is not null then '?' else ' ' end,
              '' order by k.place
            )
          ),
          500
        )
      from pg_catalog.regexp_matches(
        pg_catalog.left(a.query, 2000),
        -- kept: quoted names, words, parameters, signs; then white space, comments, constants (all that is cut off, too)
        '("(?:[^"]|"")*(?:"|$)|[[:alpha:]_][[:alnum:]_$]*|\$[0-9]*|[^[:space:]''"$0-9])'
        || '|([[:space:]]+)'
        || '|(--[^\n]*|/\*(?:[^*]|\*+[^*/])*(?:\*+/|\**$))'
        || '|([eE]''(?:[^''\\]|\\.|'''')*(?:''|$)|''(?:[^'']|'''')*(?:''|$)|\$(?:[[:alpha:]_][[:alnum:]_]*)?\$.*'
        || '|[0-9][[:alnum:]_.]*)',
        'g'
      ) with ordinality as k (token, place)
    )
  end as query
from pg_catalog.pg_stat_activity as a
cross join (select pg_catalog.clock_timestamp() as now_at) as t
cross join (
  select pg_catalog.max(x.encoding) as encoding from pg_catalog.pg_database as x
  where x.datname = pg_catalog.current_database()
) as h
left join pg_catalog.pg_database as d on d.oid = a.datid
order by a.pid
