/* pgrunbook: demo user_performance */
-- The topic is that of the quiz; hard quizzes score lower and take longer.
insert into {user_performance} ({id}, {user_id}, {quiz_id}, {topic}, {score}, {duration_s}, {created_at})
select
    n,
    pg_temp.user_by_chance(pg_temp.chance(n, 60)),
    quiz,
    pg_temp.topic_of(quiz),
    greatest(0, least(100, round(96 - 9 * pg_temp.difficulty_of(quiz) + 50 * (pg_temp.chance(n, 61) - 0.5))))::smallint,
    (40 + 30 * pg_temp.difficulty_of(quiz) + 600 * power(pg_temp.chance(n, 62), 3))::integer,
    pg_temp.moment(n::float8 / %(performances)s, interval '365 days')
from (
    select
        n,
        1 + floor(%(quizzes)s * power(pg_temp.chance(n, 63), 0.6))::bigint as quiz
    from generate_series(1, %(performances)s::bigint) as n
) as finished;

alter table {user_performance} alter column {id} restart with %(next_performance)s;
