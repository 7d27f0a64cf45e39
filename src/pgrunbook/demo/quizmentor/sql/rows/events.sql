/* pgrunbook: demo events */
-- Half of all events are page views; those about a quiz name it.
insert into {events} ({id}, {user_id}, {kind}, {quiz_id}, {payload}, {created_at})
select
    n,
    pg_temp.user_by_chance(pg_temp.chance(n, 80)),
    (array[
        'page_viewed', 'answer_submitted', 'quiz_started', 'quiz_completed', 'signed_in', 'quiz_shared', 'quiz_created',
        'plan_changed'
    ])[kind],
    case when kind in (2, 3, 4, 6) then 1 + floor(%(quizzes)s * power(pg_temp.chance(n, 82), 0.6))::bigint end,
    ('{"duration_ms": ' || 20 + mod(n * 7919, 1800) || ', "client": "' || (array['web', 'ios', 'android'])[1 + mod(n, 3)]
        || '"}')::jsonb,
    pg_temp.moment(n::float8 / %(events)s, interval '180 days')
from (
    select
        n,
        width_bucket(pg_temp.chance(n, 81), array[0, 0.50, 0.74, 0.84, 0.90, 0.96, 0.98, 0.995]::float8[]) as kind
    from generate_series(1, %(events)s::bigint) as n
) as seen;

alter table {events} alter column {id} restart with %(next_event)s;
