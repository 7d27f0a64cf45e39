/* pgrunbook: publications */
select
  p.pubname::text as name,
  p.puballtables as all_tables,
  p.pubinsert as publishes_inserts,
  p.pubupdate as publishes_updates,
  p.pubdelete as publishes_deletes,
  r.prrelid::int8 as table_oid,
  null::text as schema
from pg_catalog.pg_publication as p
left join pg_catalog.pg_publication_rel as r on r.prpubid = p.oid
order by p.pubname, r.prrelid
