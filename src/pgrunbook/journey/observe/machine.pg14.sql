/* pgrunbook: machine */
select
  pg_catalog.substring(m.text, 'MemTotal:\s+(\d+) kB')::int8 * 1024 as memory_bytes,
  pg_catalog.substring(m.text, 'MemAvailable:\s+(\d+) kB')::int8 * 1024 as available_bytes,
  case when g.text ~ '^\d{1,18}\s*$' then g.text::int8 end as group_limit_bytes
from (select pg_catalog.pg_read_file('/proc/meminfo') as text) as m
cross join (select pg_catalog.pg_read_file('/sys/fs/cgroup/memory.max', 0, 64, true) as text) as g
