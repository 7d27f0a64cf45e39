/* pgrunbook: index_columns */
select
  x.indexrelid::int8 as index_oid,
  a.attnum::int4 as position,
  pg_catalog.format_type(a.atttypid, null) as type_name,
  a.attlen::int4 as length_bytes,
  a.attalign::text as alignment,
  s.stawidth::float8 as width_bytes,
  s.stadistinct::float8 as n_distinct,
  coalesce(s.stanullfrac, 0)::float8 as null_ratio,
  coalesce(
    case
      when s.stakind1 = 1 then s.stanumbers1
      when s.stakind2 = 1 then s.stanumbers2
      when s.stakind3 = 1 then s.stanumbers3
    end, '{}'
  )::float8[] as common_ratios,
  a.attnum <= x.indnkeyatts
    and coalesce(l.collisdeterministic, true)
    and exists (
      select from pg_catalog.pg_amproc as p
      where p.amprocfamily = o.opcfamily and p.amproclefttype = o.opcintype and p.amprocrighttype = o.opcintype
        and p.amprocnum = 4
    ) as deduplicates,
  a.attnum > x.indnkeyatts as is_included,
  (x.indkey[a.attnum - 1] = 0) as is_expression,
  coalesce(o.opcname, '')::text as operator_class
from pg_catalog.pg_index as x
join pg_catalog.pg_attribute as a on a.attrelid = x.indexrelid and a.attnum > 0
left join pg_catalog.pg_opclass as o on a.attnum <= x.indnkeyatts and o.oid = x.indclass[a.attnum - 1]
left join pg_catalog.pg_collation as l on a.attnum <= x.indnkeyatts and l.oid = x.indcollation[a.attnum - 1]
left join lateral (
  select t.*
  from pg_catalog.pg_statistic as t
  where t.starelid = case when x.indkey[a.attnum - 1] = 0 then x.indexrelid else x.indrelid end
    and t.staattnum = case when x.indkey[a.attnum - 1] = 0 then a.attnum else x.indkey[a.attnum - 1] end
  order by t.stainherit
  limit 1
) as s on true
where x.indexrelid = any (%(oids)s::oid[])
order by x.indexrelid, a.attnum
