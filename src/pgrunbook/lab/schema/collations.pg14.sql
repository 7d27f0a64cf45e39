/* pgrunbook: collations */
select distinct
  n.nspname::text as schema,
  c.collname::text as name,
  c.collprovider::text as provider
from pg_catalog.pg_depend as d
join pg_catalog.pg_collation as c on c.oid = d.refobjid
join pg_catalog.pg_namespace as n on n.oid = c.collnamespace
where d.refclassid = 'pg_catalog.pg_collation'::regclass
  and c.collprovider <> 'd'
union
select
  'pg_catalog',
  c.collname::text,
  c.collprovider::text
from pg_catalog.pg_collation as c
where c.collnamespace = 'pg_catalog'::regnamespace
  and (
    exists (select from pg_catalog.pg_attribute as a where a.attcollation = c.oid and a.attrelid >= 16384)
    or exists (select from pg_catalog.pg_type as t where t.typcollation = c.oid and t.oid >= 16384)
    or exists (select from pg_catalog.pg_index as i where c.oid = any (i.indcollation) and i.indexrelid >= 16384)
  )
order by schema, name
