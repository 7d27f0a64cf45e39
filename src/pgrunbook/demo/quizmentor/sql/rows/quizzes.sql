/* pgrunbook: demo quizzes */
-- Old quizzes are archived, fresh ones still drafts; one in twenty is public, one in seven is shared with a few users.
insert into {quizzes} (
    {id}, {user_id}, {title}, {topic}, {difficulty}, {status}, {is_public}, {shared_with_users}, {metadata},
    {created_at}, {updated_at}
)
select
    n,
    pg_temp.user_by_chance(pg_temp.chance(n, 20)),
    initcap(pg_temp.topic_of(n)) || ': ' || pg_temp.subject(pg_temp.chance(n, 21)) || ', part ' || 1 + mod(n, 9),
    pg_temp.topic_of(n),
    pg_temp.difficulty_of(n),
    case
        when pg_temp.chance(n, 22) < 0.7 * power(1 - n::float8 / %(quizzes)s, 2) then 'archived'
        when pg_temp.chance(n, 22) > 1 - 0.4 * power(n::float8 / %(quizzes)s, 6) then 'draft'
        else 'active'
    end,
    pg_temp.chance(n, 23) < 0.05,
    case
        when pg_temp.chance(n, 24) < 0.85 then '{}'
        else array(
            select pg_temp.user_by_chance(pg_temp.chance(n * 8 + k, 25))
            from generate_series(1, 1 + floor(5 * pg_temp.chance(n, 26))::integer) as k
        )
    end,
    jsonb_build_object(
        'course', 'c' || 1 + pg_temp.zipf(pg_temp.chance(n, 27), %(courses)s),
        'language', case when pg_temp.chance(n, 28) < 0.8 then 'en' else 'de' end,
        'time_limit_s', 60 * (1 + mod(n, 10)),
        'shuffle', pg_temp.chance(n, 29) < 0.5
    ),
    pg_temp.moment(n::float8 / %(quizzes)s, interval '730 days'),
    pg_temp.moment((n + (%(quizzes)s - n) * power(pg_temp.chance(n, 30), 4)) / %(quizzes)s, interval '730 days')
from generate_series(1, %(quizzes)s::bigint) as n;

alter table {quizzes} alter column {id} restart with %(next_quiz)s;
