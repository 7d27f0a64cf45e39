-- A user looks at their answers of the last month; only the policy says whose.
\set month_ago_s :newest_s - 30 * 86400
begin;
set local role authenticated;
select set_config('request.jwt.claims', '{"sub":"0190a000-0000-7000-8000-:user","role":"authenticated"}', true);
select {id}, {question_id}, {value}, {is_correct}, {created_at}
from {answers}
where {created_at} >= to_timestamp(:month_ago_s)
order by {created_at} desc, {id} desc
limit 20;
commit;
