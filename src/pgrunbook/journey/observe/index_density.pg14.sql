/* pgrunbook: index_density */
with sized as materialized (
  select
    i.indexrelid,
    pg_catalog.sum(c.relpages::int8) over (
      order by c.relpages::float8 * 8192 - greatest(c.reltuples, 0) * 16 desc, i.indexrelid
    ) as pages_so_far
  from pg_catalog.pg_index as i
  join pg_catalog.pg_class as c on c.oid = i.indexrelid
  join pg_catalog.pg_am as a on a.oid = c.relam
  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where a.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p'
    and i.indisvalid and i.indisready
    and c.relpages >= 64
    and n.nspname <> all (%(ignored_schemas)s)
    and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
    and i.indrelid::int8 <> all (%(skip)s::int8[]) and i.indexrelid::int8 <> all (%(skip)s::int8[])
)
select
  s.indexrelid::int8 as oid,
  m.index_size::int8 as size_bytes,
  m.leaf_pages::int8 as leaf_pages,
  m.internal_pages::int8 as internal_pages,
  (m.empty_pages + m.deleted_pages)::int8 as empty_pages,
  case when m.avg_leaf_density = 'nan' then 0.0 else m.avg_leaf_density / 100 end::float8 as leaf_density_ratio
from sized as s
cross join lateral {extension_schema}.pgstatindex(s.indexrelid::pg_catalog.regclass) as m
where s.pages_so_far <= 16384
order by s.indexrelid
