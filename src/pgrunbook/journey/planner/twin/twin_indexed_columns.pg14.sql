/* pgrunbook: twin_indexed_columns */
select distinct
  n.nspname::text as schema,
  c.relname::text as name,
  a.attname::text as column_name
from pg_catalog.pg_index as x
join pg_catalog.pg_class as i on i.oid = x.indexrelid
join pg_catalog.pg_am as m on m.oid = i.relam
join pg_catalog.pg_class as c on c.oid = x.indrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = x.indkey[0]
join pg_catalog.pg_type as t on t.oid = a.atttypid
where m.amname = 'btree'
  and x.indisvalid
  and x.indpred is null
  and c.relkind in ('r', 'm')
  and t.typcategory in ('N', 'D', 'S', 'T')
  and n.nspname <> all (%(ignored_schemas)s)
  and n.nspname not like 'pg\_temp\_%%' and n.nspname not like 'pg\_toast\_temp\_%%'
  and pg_catalog.has_schema_privilege(n.oid, 'usage')
  and pg_catalog.has_column_privilege(c.oid, a.attnum, 'select')
  and not pg_catalog.row_security_active(c.oid)
order by schema, name, column_name
