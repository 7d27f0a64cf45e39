/* pgrunbook: publications */
select
  p.pubname::text as name,
  p.puballtables as all_tables,
  p.pubinsert as publishes_inserts,
  p.pubupdate as publishes_updates,
  p.pubdelete as publishes_deletes,
  m.table_oid::int8 as table_oid,
  m.schema::text as schema
from pg_catalog.pg_publication as p
left join (
  select r.prpubid, r.prrelid as table_oid, null::name as schema
  from pg_catalog.pg_publication_rel as r
  union all
  select s.pnpubid, null::oid, n.nspname
  from pg_catalog.pg_publication_namespace as s
  join pg_catalog.pg_namespace as n on n.oid = s.pnnspid
) as m on m.prpubid = p.oid
order by p.pubname, m.schema, m.table_oid
