/* pgrunbook: twin_ranges */
select
  n.nspname::text as schema,
  c.relname::text as name,
  a.attname::text as column_name,
  s.stainherit as is_inherited,
  (
    select v.values
    from (
      values (s.stakind1, s.stavalues1::text), (s.stakind2, s.stavalues2::text), (s.stakind3, s.stavalues3::text),
        (s.stakind4, s.stavalues4::text), (s.stakind5, s.stavalues5::text)
    ) as v(kind, values)
    where v.kind = 6
  ) as range_length_histogram,
  (
    select v.numbers[1]::text
    from (
      values (s.stakind1, s.stanumbers1), (s.stakind2, s.stanumbers2), (s.stakind3, s.stanumbers3),
        (s.stakind4, s.stanumbers4), (s.stakind5, s.stanumbers5)
    ) as v(kind, numbers)
    where v.kind = 6
  ) as range_empty_ratio,
  (
    select v.values
    from (
      values (s.stakind1, s.stavalues1::text), (s.stakind2, s.stavalues2::text), (s.stakind3, s.stavalues3::text),
        (s.stakind4, s.stavalues4::text), (s.stakind5, s.stavalues5::text)
    ) as v(kind, values)
    where v.kind = 7
  ) as range_bounds_histogram
from pg_catalog.pg_statistic as s
join pg_catalog.pg_class as c on c.oid = s.starelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = s.starelid and a.attnum = s.staattnum
where (6 in (s.stakind1, s.stakind2, s.stakind3, s.stakind4, s.stakind5)
    or 7 in (s.stakind1, s.stakind2, s.stakind3, s.stakind4, s.stakind5))
  and n.nspname <> all (%(ignored_schemas)s)
order by n.nspname, c.relname, a.attname
