/* pgrunbook: prepared_transactions */
select
  x.gid::text as gid,
  x.database::text as database,
  x.owner::text as owner,
  x.prepared as prepared_at,
  extract(epoch from pg_catalog.clock_timestamp() - x.prepared)::float8 as age_s,
  pg_catalog.age(x.transaction)::int8 as xid_age,
  (
    select pg_catalog.count(*) from pg_catalog.pg_locks as l
    where l.pid is null and pg_catalog.split_part(l.virtualtransaction, '/', 2) = x.transaction::text
  )::int8 as locks
from pg_catalog.pg_prepared_xacts as x
order by x.prepared, x.gid
