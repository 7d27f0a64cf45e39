/* pgrunbook: columns */
select
  c.oid::int8 as table_oid,
  a.attnum::int4 as attnum,
  n.nspname::text as schema,
  c.relname::text as table_name,
  a.attname::text as name,
  a.atttypid::int8 as type_oid,
  t.typname::text as type_name,
  pg_catalog.format_type(a.atttypid, a.atttypmod) as declared_type,
  t.typcategory::text as type_category,
  t.typtype::text as type_kind,
  case when t.typtype = 'd' then t.typbasetype else t.oid end::int8 as base_type_oid,
  case when t.typtype = 'd' then b.typname else t.typname end::text as base_type_name,
  case when t.typcategory = 'A' then t.typelem end::int8 as element_type_oid,
  a.atttypmod::int4 as type_modifier,
  a.attlen::int4 as type_length_bytes,
  a.attnotnull as not_null,
  a.atthasdef as has_default,
  a.attgenerated::text as generated,
  a.attidentity::text as identity,
  a.attcollation::int8 as collation_oid,
  coalesce(
    case when l.collprovider = 'd' then d.datcollate in ('C', 'POSIX') else l.collcollate in ('C', 'POSIX') end, false
  ) as collates_by_bytes,
  coalesce(
    pg_catalog.has_column_privilege(c.oid, a.attnum, 'select')
      and not (c.relrowsecurity and pg_catalog.row_security_active(c.oid)),
    false
  ) as statistics_readable
from pg_catalog.pg_attribute as a
join pg_catalog.pg_class as c on c.oid = a.attrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_type as t on t.oid = a.atttypid
join pg_catalog.pg_database as d on d.datname = pg_catalog.current_database()
left join pg_catalog.pg_type as b on b.oid = t.typbasetype
left join pg_catalog.pg_collation as l on l.oid = a.attcollation
where c.relkind in ('r', 'p', 'm', 'f')
  and a.attnum > 0
  and not a.attisdropped
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by n.nspname, c.relname, a.attnum
