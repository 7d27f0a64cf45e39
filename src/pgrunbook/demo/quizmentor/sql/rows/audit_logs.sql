/* pgrunbook: demo audit_logs */
insert into {audit_logs} ({id}, {actor_id}, {action}, {object_kind}, {object_id}, {details}, {created_at})
select
    n,
    pg_temp.user_by_chance(pg_temp.chance(n, 90)),
    (array['update', 'create', 'share', 'delete'])[1 + pg_temp.zipf(pg_temp.chance(n, 91), 4)],
    case when pg_temp.chance(n, 92) < 0.8 then 'quiz' else 'user' end,
    1 + floor(%(quizzes)s * power(pg_temp.chance(n, 93), 0.6))::bigint,
    ('{"request": "r' || mod(n * 104729, 1000003) || '"}')::jsonb,
    pg_temp.moment(n::float8 / %(audits)s, interval '365 days')
from generate_series(1, %(audits)s::bigint) as n;

alter table {audit_logs} alter column {id} restart with %(next_audit)s;
