/* pgrunbook: storage_buckets */
select
  pg_catalog.substr(s.word, 2) as id,
  pg_catalog.left(s.word, 1) = '+' as is_public
from pg_catalog.ts_stat(
  case
    when exists (
      select from pg_catalog.pg_class as c
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attname = 'public' and not a.attisdropped
      join pg_catalog.pg_attribute as i on i.attrelid = c.oid and i.attname = 'id' and not i.attisdropped
      where n.nspname = 'storage' and c.relname = 'buckets'
    )
    then 'select pg_catalog.array_to_tsvector(array[case when b.public then ''+'' else ''-'' end || b.id::text]) from storage.buckets as b'
    else 'select null::pg_catalog.tsvector where false'
  end
) as s
order by 1
