/* pgrunbook: jit_work */
select
  pg_catalog.count(*) filter (where s.jit_functions > 0)::int8 as statements,
  coalesce(pg_catalog.sum(s.jit_functions), 0)::int8 as functions,
  coalesce(
    pg_catalog.sum(
      s.jit_generation_time + s.jit_inlining_time + s.jit_optimization_time + s.jit_emission_time
    ),
    0
  )::float8 as compile_ms,
  coalesce(pg_catalog.sum(s.total_exec_time), 0)::float8 as exec_ms
from {extension_schema}.pg_stat_statements as s
where s.toplevel
  and s.dbid = (select d.oid from pg_catalog.pg_database as d where d.datname = pg_catalog.current_database())
