/* pgrunbook: repeats */
/* Each sample forgets the snapshot of the activity first; what refers to s and w is run anew for each of them. */
select
  a.pid::int4 as pid,
  r.rolname::text as role,
  pg_catalog.max(a.application_name) as application,
  a.query_id::int8 as queryid,
  pg_catalog.count(distinct a.query_start)::int4 as starts,
  pg_catalog.count(*)::int4 as samples
from pg_catalog.generate_series(1, 20) as s (n)
cross join lateral (
  select
    pg_catalog.pg_sleep(case when s.n > 1 then 0.005 else 0 end) as slept,
    pg_catalog.pg_stat_clear_snapshot() as cleared
) as w
cross join lateral pg_catalog.pg_stat_get_activity(case when s.n > 0 and w.* is not null then null::int4 end) as a
left join pg_catalog.pg_roles as r on r.oid = a.usesysid
where a.datid = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
  and a.backend_type = 'client backend'
  and a.xact_start is not null
  and a.query_id <> 0
  and a.pid <> pg_catalog.pg_backend_pid()
group by a.pid, r.rolname, a.xact_start, a.query_id
having pg_catalog.count(distinct a.query_start) > 1
order by a.pid, a.query_id
