/* pgrunbook: processors */
/* user nice system idle iowait irq softirq steal; guests are part of user */
select
  (select pg_catalog.count(*) from pg_catalog.regexp_matches(f.text, '\ncpu\d+ ', 'g'))::int4 as cores,
  (t.ticks[1] + t.ticks[2] + t.ticks[3] + t.ticks[6] + t.ticks[7] + t.ticks[8])::int8 as busy_ticks,
  t.ticks[4]::int8 as idle_ticks,
  t.ticks[5]::int8 as waiting_ticks
from (select pg_catalog.pg_read_file('/proc/stat') as text) as f
cross join lateral (
  select pg_catalog.string_to_array(pg_catalog.substring(f.text, '^cpu +([0-9 ]+)'), ' ')::int8[] as ticks
) as t
