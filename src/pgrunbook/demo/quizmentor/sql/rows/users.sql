/* pgrunbook: demo users */
insert into {users} ({id}, {email}, {display_name}, {plan}, {active}, {created_at}, {last_seen_at})
select
    ('0190a000-0000-7000-8000-' || (100000000000 + n)::text)::uuid,
    'learner' || n || '@quizmentor.example',
    (array[
        'Ada', 'Blaise', 'Carl', 'Dorothy', 'Emmy', 'Fritz', 'Grace', 'Hedy', 'Isaac', 'Johanna', 'Kurt', 'Lise', 'Maria',
        'Niels', 'Otto', 'Paul'
    ])[1 + floor(16 * pg_temp.chance(n, 10))::integer] || ' ' || chr(65 + mod(n, 26)::integer) || '.',
    case
        when pg_temp.chance(n, 11) < 0.82 then 'free'
        when pg_temp.chance(n, 11) < 0.95 then 'pro'
        else 'school'
    end,
    pg_temp.chance(n, 12) < 0.55 + 0.4 * n / %(users)s,
    pg_temp.moment(n::float8 / %(users)s, interval '1095 days'),
    pg_temp.moment(greatest(n::float8 / %(users)s, sqrt(pg_temp.chance(n, 13))), interval '1095 days')
from generate_series(1, %(users)s::bigint) as n;
