/* pgrunbook: demo questions */
-- Two to six questions a quiz, twenty in five quizzes.
insert into {questions} ({id}, {quiz_id}, {position}, {difficulty}, {question_text}, {solution}, {created_at})
select
    20 * (quiz / 5) + (array[0, 2, 5, 9, 14])[1 + mod(quiz, 5)] + place,
    quiz + 1,
    place,
    pg_temp.difficulty_of(quiz + 1),
    (array[
        'Which statement about the ', 'What is the most likely cause of the ', 'Explain in one sentence why the ',
        'Put these stages in the right order for the ', 'How does an expert recognise the '
    ])[1 + mod(quiz * 7 + place, 5)]
        || (array['principle', 'reaction', 'treaty', 'theorem', 'cycle', 'paradox', 'movement'])[1 + mod(quiz + place, 7)]
        || ' of ' || pg_temp.subject(pg_temp.chance(quiz * 8 + place, 40))
        || ' in ' || pg_temp.topic_of(quiz + 1) || ' holds when the '
        || (array['temperature', 'population', 'pressure', 'distance', 'price'])[1 + mod(quiz * 3 + place, 5)]
        || (array[' doubles', ' falls by half', ' stays constant', ' is unknown'])[1 + mod(quiz * 5 + place, 4)] || '?',
    (1 + floor(4 * pg_temp.chance(quiz * 8 + place, 41)))::text,
    pg_temp.moment((quiz + 1)::float8 / %(quizzes)s, interval '730 days')
from generate_series(0, %(quizzes)s::bigint - 1) as quiz
cross join lateral generate_series(1, 2 + mod(quiz, 5)) as place;

alter table {questions} alter column {id} restart with %(next_question)s;
