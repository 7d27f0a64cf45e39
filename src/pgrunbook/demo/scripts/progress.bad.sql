-- A user looks at their latest scores in a topic; only the policy says whose.
begin;
set local role authenticated;
select set_config('request.jwt.claims', '{"sub":"0190a000-0000-7000-8000-:user","role":"authenticated"}', true);
select {id}, {quiz_id}, {score}, {duration_s}, {created_at}
from {user_performance}
where {topic} = 'history'
order by {created_at} desc, {id} desc
limit 10;
commit;
