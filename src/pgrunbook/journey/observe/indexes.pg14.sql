/* pgrunbook: indexes */
select
  i.indexrelid::int8 as oid,
  i.indrelid::int8 as table_oid,
  n.nspname::text as schema,
  c.relname::text as name,
  t.relname::text as table_name,
  t.relkind::text as table_kind,
  a.amname::text as access_method,
  i.indisunique as is_unique,
  i.indisprimary as is_primary,
  i.indisexclusion as is_exclusion,
  i.indisvalid as is_valid,
  i.indisready as is_ready,
  i.indislive as is_live,
  i.indisreplident as is_replica_identity,
  i.indisclustered as is_clustered,
  i.indimmediate as is_immediate,
  false as nulls_not_distinct,
  i.indnkeyatts::int4 as key_count,
  i.indkey::int2[]::int4[] as attnums,
  parts.columns as columns,
  i.indclass::oid[]::int8[] as opclass_oids,
  parts.opclasses as opclasses,
  parts.opclass_is_default as opclass_is_default,
  parts.opclass_options as opclass_options,
  i.indcollation::oid[]::int8[] as collation_oids,
  i.indoption::int2[]::int4[] as ordering,
  pg_catalog.regexp_replace(
    i.indexprs::text, '(?:location|list_start|list_end|nosyn|format) -?[0-9]+', '', 'g'
  ) as expression_tree,
  pg_catalog.regexp_replace(
    i.indpred::text, '(?:location|list_start|list_end|nosyn|format) -?[0-9]+', '', 'g'
  ) as predicate_tree,
  coalesce(c.reloptions, '{}')::text[] as options,
  c.relispartition as is_partition,
  (select h.inhparent::int8 from pg_catalog.pg_inherits as h where h.inhrelid = c.oid and c.relispartition)
    as parent_oid,
  k.name as constraint_name,
  c.relpages::int8 as pages,
  c.reltuples::float8 as estimated_rows,
  (c.relpages::int8 * pg_catalog.current_setting('block_size')::int8) as size_bytes,
  e.objid is not null as of_extension
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_class as t on t.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_am as a on a.oid = c.relam
join (
  select
    x.indexrelid,
    pg_catalog.array_agg(coalesce(att.attname, '')::text order by k.place) as columns,
    coalesce(pg_catalog.array_agg(o.opcname::text order by k.place) filter (where o.oid is not null), '{}')
      as opclasses,
    coalesce(pg_catalog.array_agg(o.opcdefault order by k.place) filter (where o.oid is not null), '{}')
      as opclass_is_default,
    pg_catalog.array_agg(coalesce(own.attoptions::text, '') order by k.place) as opclass_options
  from pg_catalog.pg_index as x
  cross join lateral rows from (pg_catalog.unnest(x.indkey::int2[]), pg_catalog.unnest(x.indclass::oid[]))
    with ordinality as k (attnum, opclass, place)
  left join pg_catalog.pg_attribute as own
    on own.attrelid = x.indexrelid and own.attnum = k.place and own.attoptions is not null
  left join pg_catalog.pg_attribute as att on att.attrelid = x.indrelid and att.attnum = k.attnum and k.attnum > 0
  left join pg_catalog.pg_opclass as o on o.oid = k.opclass
  group by x.indexrelid
) as parts on parts.indexrelid = i.indexrelid
left join (
  select x.conindid, pg_catalog.min(x.conname::text) as name
  from pg_catalog.pg_constraint as x
  where x.contype in ('p', 'u', 'x')
  group by x.conindid
) as k on k.conindid = i.indexrelid
left join (
  select distinct d.objid
  from pg_catalog.pg_depend as d
  where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'
) as e on e.objid = i.indrelid
where (n.nspname <> all (%(ignored_schemas)s) or n.nspname = 'pg_toast' and not i.indisvalid)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by n.nspname, t.relname, c.relname
