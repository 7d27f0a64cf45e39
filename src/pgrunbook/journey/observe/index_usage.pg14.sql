/* pgrunbook: index_usage */
select
  i.indexrelid::int8 as oid,
  pg_catalog.pg_stat_get_numscans(i.indexrelid)::int8 as scans,
  pg_catalog.pg_stat_get_tuples_returned(i.indexrelid)::int8 as rows_read,
  pg_catalog.pg_stat_get_tuples_fetched(i.indexrelid)::int8 as rows_fetched,
  pg_catalog.pg_stat_get_blocks_fetched(i.indexrelid)::int8 as blocks_touched,
  pg_catalog.age(i.xmin)::int8 as age_xids,
  null::timestamptz as last_scan_at
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'i'
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by i.indexrelid
