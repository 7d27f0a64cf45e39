/* pgrunbook: running */
select
  a.pid::int4 as pid,
  a.query_start::text as since
from pg_catalog.pg_stat_activity as a
where a.state = 'active'
  and a.datname = pg_catalog.current_database()
  and a.query_id = any (%(queryids)s)
  and a.pid <> pg_catalog.pg_backend_pid()
order by a.pid
