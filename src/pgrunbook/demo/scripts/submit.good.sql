-- A user hands in five answers at once.
\set question_1 :n_questions - 3 - random_zipfian(1, :n_questions - 5, 1.01)
\set question_2 :question_1 + 1
\set question_3 :question_1 + 2
\set question_4 :question_1 + 3
\set question_5 :question_1 + 4
\set given_1 random(1, 4)
\set given_2 random(1, 4)
\set given_3 random(1, 4)
\set given_4 random(1, 4)
\set given_5 random(1, 4)
insert into {answers} ({question_id}, {user_id}, {value}, {is_correct})
select q.{id}, '0190a000-0000-7000-8000-:user', given.answer, q.{solution} = given.answer
from unnest(
    array[:question_1, :question_2, :question_3, :question_4, :question_5]::bigint[],
    array[':given_1', ':given_2', ':given_3', ':given_4', ':given_5']
) as given (question, answer)
join {questions} as q on q.{id} = given.question
on conflict ({question_id}, {user_id}) do update set {value} = excluded.{value}, {is_correct} = excluded.{is_correct};
