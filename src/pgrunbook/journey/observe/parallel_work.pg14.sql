/* pgrunbook: parallel_work */
select
  null::int8 as workers_wanted,
  null::int8 as workers_launched,
  null::float8 as counters_age_s
