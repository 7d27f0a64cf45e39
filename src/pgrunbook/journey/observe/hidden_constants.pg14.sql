/* pgrunbook: hidden_constants */
select distinct on (a.query_id)
  a.query_id::int8 as queryid,
  array(
    select distinct found[1]
    from pg_catalog.regexp_matches(a.query, $re$to_tsvector\s*\(\s*'([a-z_][a-z0-9_]*)'$re$, 'gi') as m (found)
    order by 1
  )::text[] as search_configurations,
  array(
    select distinct found[1]
    from pg_catalog.regexp_matches(a.query, $re$->>?\s*'([A-Za-z_][A-Za-z0-9_-]{0,62})'$re$, 'g') as m (found)
    order by 1
  )::text[] as json_keys
from pg_catalog.pg_stat_activity as a
where a.datname = pg_catalog.current_database()
  and a.query_id is not null
  and a.pid <> pg_catalog.pg_backend_pid()
  and a.query ~* $re$to_tsvector\s*\(\s*'|->>?\s*'$re$
order by a.query_id, a.query_start desc
