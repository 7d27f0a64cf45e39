-- The team reads who finished a quiz, some pages deep, by counting rows off.
\set page random_zipfian(1, 100, 1.1)
\set skipped (:page - 1) * 20
select {id}, {user_id}, {quiz_id}, {payload}, {created_at}
from {events}
where {kind} = 'quiz_completed'
order by {created_at} desc, {id} desc
limit 20 offset :skipped;
