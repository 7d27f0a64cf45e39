/* pgrunbook: server */
select
  pg_catalog.current_database()::text as database,
  pg_catalog.current_setting('server_version') as version,
  pg_catalog.current_setting('server_version_num')::int4 as version_num,
  pg_catalog.pg_is_in_recovery() as in_recovery,
  current_user::text as username,
  (select r.rolsuper from pg_catalog.pg_roles as r where r.rolname = current_user) as is_superuser,
  array(
    select r.rolname::text from pg_catalog.pg_roles as r
    where pg_catalog.pg_has_role(current_user, r.oid, 'usage')
    order by r.rolname
  ) as memberships,
  array(select e.extname::text from pg_catalog.pg_extension as e order by e.extname) as extension_names,
  array(select e.extversion from pg_catalog.pg_extension as e order by e.extname) as extension_versions,
  array(
    select n.nspname::text
    from pg_catalog.pg_extension as e
    join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
    order by e.extname
  ) as extension_schemas,
  pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
    and pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute') as may_read_control,
  pg_catalog.current_setting('server_encoding') as encoding,
  pg_catalog.pg_postmaster_start_time() as started_at,
  array(
    select r.rolname::text from pg_catalog.pg_roles as r
    where r.rolname in (
      'supabase_admin', 'authenticator', 'anon', 'authenticated', 'service_role',
      'rds_superuser', 'rdsadmin', 'cloudsqlsuperuser', 'azure_pg_admin', 'neon_superuser'
    )
    order by r.rolname
  ) as telling_roles,
  exists (select from pg_catalog.pg_proc as p where p.proname = 'aurora_version') as is_aurora,
  pg_catalog.inet_server_addr() is null as by_socket
