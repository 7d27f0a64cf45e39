-- A user opens the dashboard: the newest quizzes, then each with its questions, one query after the other.
select
    coalesce(max({id}) filter (where place = 1), 0) as quiz_1,
    coalesce(max({id}) filter (where place = 2), 0) as quiz_2,
    coalesce(max({id}) filter (where place = 3), 0) as quiz_3,
    coalesce(max({id}) filter (where place = 4), 0) as quiz_4,
    coalesce(max({id}) filter (where place = 5), 0) as quiz_5
from (
    select {id}, row_number() over (order by {created_at} desc, {id} desc) as place
    from {quizzes}
    where {user_id} = '0190a000-0000-7000-8000-:user'
) as mine
where place <= 5
\gset
select {id}, {title}, {status}, {created_at} from {quizzes} where {id} = :quiz_1;
select {id}, {position}, {question_text} from {questions} where {quiz_id} = :quiz_1 order by {position};
select {id}, {title}, {status}, {created_at} from {quizzes} where {id} = :quiz_2;
select {id}, {position}, {question_text} from {questions} where {quiz_id} = :quiz_2 order by {position};
select {id}, {title}, {status}, {created_at} from {quizzes} where {id} = :quiz_3;
select {id}, {position}, {question_text} from {questions} where {quiz_id} = :quiz_3 order by {position};
select {id}, {title}, {status}, {created_at} from {quizzes} where {id} = :quiz_4;
select {id}, {position}, {question_text} from {questions} where {quiz_id} = :quiz_4 order by {position};
select {id}, {title}, {status}, {created_at} from {quizzes} where {id} = :quiz_5;
select {id}, {position}, {question_text} from {questions} where {quiz_id} = :quiz_5 order by {position};
