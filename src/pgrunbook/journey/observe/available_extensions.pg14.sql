/* pgrunbook: available_extensions */
select
  a.name::text as name,
  a.installed_version as installed_version,
  a.default_version as default_version
from pg_catalog.pg_available_extensions as a
order by a.name
