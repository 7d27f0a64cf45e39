-- The quizzes that others shared with a user, with a condition no index on the array can answer.
begin;
set local role authenticated;
select set_config('request.jwt.claims', '{"sub":"0190a000-0000-7000-8000-:user","role":"authenticated"}', true);
select {id}, {title}, {topic}, {created_at}
from {quizzes}
where '0190a000-0000-7000-8000-:user' = any({shared_with_users})
order by {created_at} desc, {id} desc
limit 20;
commit;
