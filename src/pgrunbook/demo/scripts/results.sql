-- A user looks at last month's results in a topic: their own, and those of others in quizzes of theirs.
\set month_ago_s :newest_s - 30 * 86400
begin;
set local role authenticated;
select set_config('request.jwt.claims', '{"sub":"0190a000-0000-7000-8000-:user","role":"authenticated"}', true);
select {id}, {user_id}, {quiz_id}, {score}, {created_at}
from {user_performance}
where {topic} = 'history' and {created_at} >= to_timestamp(:month_ago_s)
order by {created_at} desc, {id} desc
limit 20;
commit;
