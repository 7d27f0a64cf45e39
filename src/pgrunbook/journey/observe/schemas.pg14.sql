/* pgrunbook: schemas */
select
    n.oid::int8 as oid,
    n.nspname::text as name,
    r.rolname::text as owner,
    e.objid is not null as of_extension
from pg_catalog.pg_namespace as n
left join pg_catalog.pg_roles as r on r.oid = n.nspowner
left join pg_catalog.pg_depend as e
    on e.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
    and e.objid = n.oid
    and e.deptype = 'e'
where n.nspname <> all (%(ignored_schemas)s)
    and n.nspname !~ '^pg_(toast_)?temp_'
order by n.nspname
