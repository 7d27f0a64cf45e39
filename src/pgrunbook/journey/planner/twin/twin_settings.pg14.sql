/* pgrunbook: twin_settings */
select
  s.name as name,
  s.reset_val as value
from pg_catalog.pg_settings as s
where s.name in (
    'DateStyle', 'IntervalStyle', 'TimeZone', 'constraint_exclusion', 'cpu_index_tuple_cost', 'cpu_operator_cost',
    'cpu_tuple_cost', 'cursor_tuple_fraction', 'default_statistics_target', 'default_text_search_config',
    'effective_cache_size', 'effective_io_concurrency', 'from_collapse_limit', 'gin_fuzzy_search_limit',
    'hash_mem_multiplier', 'join_collapse_limit', 'max_parallel_workers_per_gather', 'min_parallel_index_scan_size',
    'min_parallel_table_scan_size', 'parallel_leader_participation', 'parallel_setup_cost', 'parallel_tuple_cost',
    'plan_cache_mode', 'random_page_cost', 'recursive_worktable_factor', 'row_security', 'search_path',
    'seq_page_cost', 'work_mem'
  )
  or s.name like 'geqo%%'
  or s.name like 'enable\_%%'
order by s.name
