/* pgrunbook: may_maintain */
select c.oid::int8 as oid
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'p')
  and n.nspname <> all (%(ignored_schemas)s)
  and (
    pg_catalog.pg_has_role(c.relowner, 'usage')
    or exists (
      select from pg_catalog.pg_database as d
      where d.datname = pg_catalog.current_database() and pg_catalog.pg_has_role(d.datdba, 'usage')
    )
    or pg_catalog.has_table_privilege(c.oid, 'maintain')
  )
order by c.oid
