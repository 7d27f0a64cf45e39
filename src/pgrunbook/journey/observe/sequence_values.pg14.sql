/* pgrunbook: sequence_values */
with chosen as materialized (
  select s.seqrelid, s.seqmax, c.relpersistence
  from pg_catalog.pg_sequence as s
  join pg_catalog.pg_class as c on c.oid = s.seqrelid
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where n.nspname <> all (%(ignored_schemas)s)
    and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
    and (c.relpersistence = 'p' or not pg_catalog.pg_is_in_recovery())
    and s.seqrelid::int8 <> all (%(skip)s::int8[])
    and not exists (
      select from pg_catalog.pg_locks as l
      where l.locktype = 'relation' and l.relation = s.seqrelid and l.mode = 'ShareRowExclusiveLock'
    )
  order by s.seqtypid = 'int8'::pg_catalog.regtype, s.seqrelid
  limit 2000
)
select
  k.seqrelid::int8 as oid,
  pg_catalog.has_sequence_privilege(k.seqrelid, 'select,usage') as is_readable,
  case
    when pg_catalog.has_sequence_privilege(k.seqrelid, 'select,usage')
      then pg_catalog.pg_sequence_last_value(k.seqrelid::pg_catalog.regclass)
  end::int8 as last_value
from chosen as k
order by k.seqrelid
