/* pgrunbook: demo user_sessions */
insert into {user_sessions} (
    {id}, {user_id}, {token}, {user_agent}, {created_at}, {last_seen_at}, {expires_at}
)
select
    n,
    pg_temp.user_by_chance(pg_temp.chance(n, 70)),
    ('0190b000-0000-7000-8000-' || (100000000000 + n)::text)::uuid,
    (array[
        'Mozilla/5.0 (Windows NT 10.0; Win64; x64)', 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4)',
        'Mozilla/5.0 (Linux; Android 14)', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4)'
    ])[1 + pg_temp.zipf(pg_temp.chance(n, 71), 4)],
    started_at,
    started_at + interval '40 minutes' * power(pg_temp.chance(n, 72), 2),
    started_at + interval '30 days'
from (
    select
        n,
        pg_temp.moment(n::float8 / %(sessions)s, interval '120 days') as started_at
    from generate_series(%(first_session)s::bigint, %(last_session)s::bigint) as n
) as begun;

alter table {user_sessions} alter column {id} restart with %(next_session)s;
