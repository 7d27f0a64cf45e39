-- A user looks at their latest scores in a topic.
begin;
set local role authenticated;
select set_config('request.jwt.claims', '{"sub":"0190a000-0000-7000-8000-:user","role":"authenticated"}', true);
select {id}, {quiz_id}, {score}, {duration_s}, {created_at}
from {user_performance}
where {user_id} = '0190a000-0000-7000-8000-:user' and {topic} = 'history'
order by {created_at} desc, {id} desc
limit 10;
commit;
