/* pgrunbook: database */
select
  pg_catalog.pg_encoding_to_char(d.encoding)::text as encoding,
  pg_catalog.pg_get_userbyid(d.datdba)::text as owner,
  d.datcollate::text as lc_collate,
  d.datctype::text as lc_ctype,
  coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') as provider,
  pg_catalog.to_jsonb(d) ->> 'datlocale' as locale,
  array(
    select e.extname::text from pg_catalog.pg_extension as e order by e.extname
  ) as extensions
from pg_catalog.pg_database as d
where d.datname = pg_catalog.current_database()
