/* pgrunbook: temp_tables */
select
  pg_catalog.count(*)::int8 as tables,
  pg_catalog.count(distinct c.relnamespace)::int8 as schemas
from pg_catalog.pg_class as c
where c.relpersistence = 't' and c.relkind in ('r', 'p')
