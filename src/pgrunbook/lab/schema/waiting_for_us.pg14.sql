/* pgrunbook: waiting_for_us */
select pg_catalog.count(distinct w.pid)::int8 as waiting
from pg_catalog.pg_stat_activity as d
cross join pg_catalog.pg_locks as w
where d.application_name = %(application)s
  and not w.granted
  and w.pid <> d.pid
  and d.pid = any (pg_catalog.pg_blocking_pids(w.pid))
