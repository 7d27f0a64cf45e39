/* pgrunbook: demo answers */
-- Fresh questions are answered oftener; whoever answers twice has answered once.
insert into {answers} ({id}, {question_id}, {user_id}, {value}, {is_correct}, {created_at})
select
    n,
    question,
    pg_temp.user_by_rank(rank),
    (1 + floor(4 * pg_temp.chance(n, 52)))::text,
    pg_temp.chance(n, 52) < 0.25 + 0.15 * pg_temp.chance(rank, 53),
    pg_temp.moment(n::float8 / %(answers)s, interval '365 days')
from (
    select
        min(n) as n,
        question,
        rank
    from (
        select
            n,
            1 + floor(%(questions)s * power(pg_temp.chance(n, 50), 0.6))::bigint as question,
            pg_temp.zipf(pg_temp.chance(n, 51), %(users)s) as rank
        from generate_series(1, %(answers)s::bigint) as n
    ) as given
    group by
        question,
        rank
) as first_given
order by
    n;

alter table {answers} alter column {id} restart with %(next_answer)s;
