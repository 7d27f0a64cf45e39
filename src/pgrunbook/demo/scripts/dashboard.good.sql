-- A user opens the dashboard: the newest quizzes with their questions, in one query.
select
    mine.{id}, mine.{title}, mine.{status}, mine.{created_at},
    json_agg(
        json_build_object('id', q.{id}, 'position', q.{position}, 'question_text', q.{question_text})
        order by q.{position}
    ) filter (where q.{id} is not null) as questions
from (
    select {id}, {title}, {status}, {created_at}
    from {quizzes}
    where {user_id} = '0190a000-0000-7000-8000-:user'
    order by {created_at} desc, {id} desc
    limit 5
) as mine
left join {questions} as q on q.{quiz_id} = mine.{id}
group by mine.{id}, mine.{title}, mine.{status}, mine.{created_at}
order by mine.{created_at} desc, mine.{id} desc;
