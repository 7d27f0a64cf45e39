/* pgrunbook: constraints */
select
  x.oid::int8 as oid,
  x.conname::text as name,
  x.contype::text as kind,
  x.conrelid::int8 as table_oid,
  n.nspname::text as schema,
  coalesce(t.relname, y.typname)::text as table_name,
  coalesce(t.relkind, 'd')::text as table_kind,
  x.conparentid::int8 as parent_oid,
  x.conindid::int8 as index_oid,
  x.convalidated as is_validated,
  true as is_enforced,
  x.condeferrable as is_deferrable,
  x.condeferred as is_deferred,
  x.conislocal as is_local,
  coalesce(x.conkey, '{}')::int4[] as attnums,
  coalesce(own.columns, '{}')::text[] as columns,
  coalesce(own.types, '{}')::text[] as types,
  coalesce(own.base_types, '{}')::text[] as base_types,
  coalesce(own.collation_oids, '{}')::int8[] as collation_oids,
  x.confrelid::int8 as referenced_oid,
  coalesce(rn.nspname, '')::text as referenced_schema,
  coalesce(rt.relname, '')::text as referenced_name,
  coalesce(x.confkey, '{}')::int4[] as referenced_attnums,
  coalesce(other.columns, '{}')::text[] as referenced_columns,
  coalesce(other.types, '{}')::text[] as referenced_types,
  coalesce(other.base_types, '{}')::text[] as referenced_base_types,
  x.confupdtype::text as on_update,
  x.confdeltype::text as on_delete
from pg_catalog.pg_constraint as x
join pg_catalog.pg_namespace as n on n.oid = x.connamespace
left join pg_catalog.pg_class as t on t.oid = x.conrelid
left join pg_catalog.pg_type as y on y.oid = x.contypid
left join pg_catalog.pg_class as rt on rt.oid = x.confrelid
left join pg_catalog.pg_namespace as rn on rn.oid = rt.relnamespace
left join lateral (
  select
    pg_catalog.array_agg(a.attname::text order by k.place) as columns,
    pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) order by k.place) as types,
    pg_catalog.array_agg(
      pg_catalog.format_type(case when b.typtype = 'd' then b.typbasetype else b.oid end, null) order by k.place
    ) as base_types,
    pg_catalog.array_agg(a.attcollation::int8 order by k.place) as collation_oids
  from pg_catalog.unnest(x.conkey) with ordinality as k (attnum, place)
  join pg_catalog.pg_attribute as a on a.attrelid = x.conrelid and a.attnum = k.attnum
  join pg_catalog.pg_type as b on b.oid = a.atttypid
) as own on x.conrelid <> 0
left join lateral (
  select
    pg_catalog.array_agg(a.attname::text order by k.place) as columns,
    pg_catalog.array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) order by k.place) as types,
    pg_catalog.array_agg(
      pg_catalog.format_type(case when b.typtype = 'd' then b.typbasetype else b.oid end, null) order by k.place
    ) as base_types
  from pg_catalog.unnest(x.confkey) with ordinality as k (attnum, place)
  join pg_catalog.pg_attribute as a on a.attrelid = x.confrelid and a.attnum = k.attnum
  join pg_catalog.pg_type as b on b.oid = a.atttypid
) as other on x.confrelid <> 0
where x.contype in ('p', 'u', 'x', 'f', 'c')
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by n.nspname, 6, x.conname, x.oid
