/* pgrunbook: sequences */
select
  s.seqrelid::int8 as oid,
  n.nspname::text as schema,
  c.relname::text as name,
  pg_catalog.format_type(s.seqtypid, null) as type_name,
  s.seqmin::int8 as min_value,
  s.seqmax::int8 as max_value,
  s.seqincrement::int8 as increment,
  s.seqcycle as cycles,
  f.table_oid::int8 as table_oid,
  coalesce(tn.nspname, '')::text as table_schema,
  coalesce(t.relname, '')::text as table_name,
  coalesce(f.attnum, 0)::int4 as attnum,
  coalesce(a.attname, '')::text as column_name,
  coalesce(pg_catalog.format_type(case when b.typtype = 'd' then b.typbasetype else b.oid end, null), '')
    as column_type,
  coalesce(a.attidentity, '')::text as identity,
  coalesce(t.relispartition, false) as is_partition
from pg_catalog.pg_sequence as s
join pg_catalog.pg_class as c on c.oid = s.seqrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join (
  select d.refobjid as sequence_oid, ad.adrelid as table_oid, ad.adnum as attnum
  from pg_catalog.pg_depend as d
  join pg_catalog.pg_attrdef as ad on ad.oid = d.objid
  where d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.refobjid in (select q.seqrelid from pg_catalog.pg_sequence as q)
  union
  select d.objid, d.refobjid, d.refobjsubid
  from pg_catalog.pg_depend as d
  where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.objid in (select q.seqrelid from pg_catalog.pg_sequence as q)
    and d.deptype in ('a', 'i') and d.refobjsubid > 0
) as f on f.sequence_oid = s.seqrelid
left join pg_catalog.pg_class as t on t.oid = f.table_oid
left join pg_catalog.pg_namespace as tn on tn.oid = t.relnamespace
left join pg_catalog.pg_attribute as a on a.attrelid = f.table_oid and a.attnum = f.attnum
left join pg_catalog.pg_type as b on b.oid = a.atttypid
where n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
order by n.nspname, c.relname, f.table_oid, f.attnum
