/* pgrunbook: file_settings */
select
  f.seqno::int4 as place,
  f.sourcefile as file,
  f.sourceline::int4 as line,
  f.name as name,
  case
    when f.name in ('primary_conninfo', 'ssl_passphrase_command')
      or f.name ~* '\..*(secret|passw|passphrase|token|key|jwt|credential)'
      or (
        f.name like '%%.%%'
        and pg_catalog.split_part(f.name, '.', 1) <> all (
          '{pgrst,pg_stat_statements,auto_explain,pgaudit,plpgsql,cron,plan_filter,safeupdate}'
        )
      ) then '(hidden)'
    else f.setting
  end as value,
  f.applied as is_applied,
  f.error as error
from pg_catalog.pg_file_settings as f
order by f.seqno
