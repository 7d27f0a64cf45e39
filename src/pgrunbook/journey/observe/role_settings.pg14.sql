/* pgrunbook: role_settings */
select
  r.rolname::text as role,
  d.datname::text as database,
  e.name as name,
  case
    when e.name in ('primary_conninfo', 'ssl_passphrase_command')
      or e.name ~* '\..*(secret|passw|passphrase|token|key|jwt|credential)'
      or (
        e.name like '%%.%%'
        and pg_catalog.split_part(e.name, '.', 1) <> all (
          '{pgrst,pg_stat_statements,auto_explain,pgaudit,plpgsql,cron,plan_filter,safeupdate}'
        )
      ) then '(hidden)'
    else e.value
  end as value
from pg_catalog.pg_db_role_setting as s
cross join lateral unnest(s.setconfig) as x (entry)
cross join lateral (
  select
    pg_catalog.split_part(x.entry, '=', 1) as name,
    pg_catalog.substr(x.entry, pg_catalog.strpos(x.entry, '=') + 1) as value
) as e
left join pg_catalog.pg_roles as r on r.oid = s.setrole
left join pg_catalog.pg_database as d on d.oid = s.setdatabase
where (s.setrole = 0 or r.oid is not null) and (s.setdatabase = 0 or d.oid is not null)
order by d.datname nulls first, r.rolname nulls first, 3
