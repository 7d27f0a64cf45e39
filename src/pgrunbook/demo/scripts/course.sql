-- The quizzes of a course, which stands in their metadata.
\set course random_zipfian(1, :n_courses, 1.05)
select {id}, {title}, {difficulty}, {status}
from {quizzes}
where {metadata} @> '{"course": "c:course"}'
order by {title}, {id}
limit 50;
