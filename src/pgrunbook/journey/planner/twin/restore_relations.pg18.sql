/* pgrunbook: restore_relations */
select
  pg_catalog.pg_restore_relation_stats(
    'schemaname', r.schema,
    'relname', r.name,
    'relpages', r.pages::int4,
    'reltuples', r.estimated_rows::float4,
    'relallvisible', r.all_visible_pages::int4
  ) as is_taken,
  r.schema,
  r.name
from unnest(
  %(schema)s::text[], %(name)s::text[], %(kind)s::text[], %(pages)s::text[], %(estimated_rows)s::text[],
  %(all_visible_pages)s::text[]
) as r(schema, name, kind, pages, estimated_rows, all_visible_pages)
join pg_catalog.pg_namespace as n on n.nspname = r.schema
join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = r.name and c.relkind::text = r.kind
