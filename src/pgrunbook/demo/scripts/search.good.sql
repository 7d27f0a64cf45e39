-- Questions about a subject, by looking for its word.
\set subject 999 + random_zipfian(1, 4096, 1.01)
select {id}, {quiz_id}, {question_text}
from {questions}
where {question_words} @@ plainto_tsquery('english', 'k:subject')
order by {created_at} desc, {id} desc
limit 20;
