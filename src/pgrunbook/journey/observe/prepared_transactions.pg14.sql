/* pgrunbook: prepared_transactions */
with ownerless as materialized (
  select l.virtualtransaction, l.locktype, l.transactionid
  from pg_catalog.pg_locks as l
  where l.pid is null and l.granted
)
select
  x.gid::text as gid,
  x.database::text as database,
  x.owner::text as owner,
  x.prepared as prepared_at,
  extract(epoch from pg_catalog.clock_timestamp() - x.prepared)::float8 as age_s,
  pg_catalog.age(x.transaction)::int8 as xid_age,
  (
    select pg_catalog.count(*)
    from ownerless as o
    join ownerless as l on l.virtualtransaction = o.virtualtransaction
    where o.locktype = 'transactionid' and o.transactionid = x.transaction
  )::int8 as locks
from pg_catalog.pg_prepared_xacts as x
order by x.prepared, x.gid
