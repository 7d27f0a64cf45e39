-- A user opens the newest quizzes among those that the policy lets them see.
begin;
set local role authenticated;
select set_config('request.jwt.claims', '{"sub":"0190a000-0000-7000-8000-:user","role":"authenticated"}', true);
select {id}, {title}, {topic}, {difficulty}, {created_at}
from {quizzes}
where {status} = 'active'
order by {created_at} desc, {id} desc
limit 20;
commit;
