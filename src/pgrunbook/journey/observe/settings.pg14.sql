/* pgrunbook: settings */
select
  s.name as name,
  case
    when s.name in ('primary_conninfo', 'ssl_passphrase_command')
      or s.name ~* '\..*(secret|passw|passphrase|token|key|jwt|credential)'
      or (
        s.name like '%%.%%'
        and pg_catalog.split_part(s.name, '.', 1) <> all (
          '{pgrst,pg_stat_statements,auto_explain,pgaudit,plpgsql,cron,plan_filter,safeupdate}'
        )
      ) then '(hidden)'
    else s.setting
  end as value,
  s.unit as unit,
  s.vartype as type,
  s.context as context,
  s.source as source,
  s.sourcefile as source_file,
  case
    when s.name in ('primary_conninfo', 'ssl_passphrase_command')
      or s.name ~* '\..*(secret|passw|passphrase|token|key|jwt|credential)'
      or (
        s.name like '%%.%%'
        and pg_catalog.split_part(s.name, '.', 1) <> all (
          '{pgrst,pg_stat_statements,auto_explain,pgaudit,plpgsql,cron,plan_filter,safeupdate}'
        )
      ) then '(hidden)'
    else s.boot_val
  end as boot_value,
  case
    when s.name in ('primary_conninfo', 'ssl_passphrase_command')
      or s.name ~* '\..*(secret|passw|passphrase|token|key|jwt|credential)'
      or (
        s.name like '%%.%%'
        and pg_catalog.split_part(s.name, '.', 1) <> all (
          '{pgrst,pg_stat_statements,auto_explain,pgaudit,plpgsql,cron,plan_filter,safeupdate}'
        )
      ) then '(hidden)'
    else s.reset_val
  end as reset_value,
  s.pending_restart as pending_restart
from pg_catalog.pg_settings as s
order by s.name
