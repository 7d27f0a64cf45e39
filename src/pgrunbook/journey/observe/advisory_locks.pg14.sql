/* pgrunbook: advisory_locks */
select
  l.pid::int4 as pid,
  d.datname::text as database,
  pg_catalog.count(*)::int8 as locks,
  (
    pg_catalog.array_agg(
      case
        when l.objsubid = 1 then ((l.classid::int8 << 32) | l.objid::int8)::text
        else ((l.classid::int8 << 32) >> 32)::text || ', ' || ((l.objid::int8 << 32) >> 32)::text
      end
      order by l.classid, l.objid
    )
  )[1:5] as keys
from pg_catalog.pg_locks as l
left join pg_catalog.pg_database as d on d.oid = l.database
where l.locktype = 'advisory' and l.granted and l.pid is not null
group by l.pid, d.datname
order by l.pid
