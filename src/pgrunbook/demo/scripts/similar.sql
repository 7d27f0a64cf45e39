-- Questions like the one on the screen: about the same subject, of the same kind.
\set subject 999 + random_zipfian(1, 4096, 1.01)
select {id}, {quiz_id}, {question_text}
from {questions}
where {question_words} @@ plainto_tsquery('english', 'treaty k:subject')
order by {created_at} desc, {id} desc
limit 5;
