-- A user hands in five answers, each with a statement of its own.
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
begin;
insert into {answers} ({question_id}, {user_id}, {value}, {is_correct})
select {id}, '0190a000-0000-7000-8000-:user', ':given_1', {solution} = ':given_1' from {questions} where {id} = :question_1
on conflict ({question_id}, {user_id}) do update set {value} = excluded.{value}, {is_correct} = excluded.{is_correct};
insert into {answers} ({question_id}, {user_id}, {value}, {is_correct})
select {id}, '0190a000-0000-7000-8000-:user', ':given_2', {solution} = ':given_2' from {questions} where {id} = :question_2
on conflict ({question_id}, {user_id}) do update set {value} = excluded.{value}, {is_correct} = excluded.{is_correct};
insert into {answers} ({question_id}, {user_id}, {value}, {is_correct})
select {id}, '0190a000-0000-7000-8000-:user', ':given_3', {solution} = ':given_3' from {questions} where {id} = :question_3
on conflict ({question_id}, {user_id}) do update set {value} = excluded.{value}, {is_correct} = excluded.{is_correct};
insert into {answers} ({question_id}, {user_id}, {value}, {is_correct})
select {id}, '0190a000-0000-7000-8000-:user', ':given_4', {solution} = ':given_4' from {questions} where {id} = :question_4
on conflict ({question_id}, {user_id}) do update set {value} = excluded.{value}, {is_correct} = excluded.{is_correct};
insert into {answers} ({question_id}, {user_id}, {value}, {is_correct})
select {id}, '0190a000-0000-7000-8000-:user', ':given_5', {solution} = ':given_5' from {questions} where {id} = :question_5
on conflict ({question_id}, {user_id}) do update set {value} = excluded.{value}, {is_correct} = excluded.{is_correct};
commit;
