-- A visitor pages through the quizzes that the policy lets them see, on from the last one seen.
\set page random_zipfian(1, 20, 1.5)
\set before_s :newest_s - int(63072000 * pow((:page - 1) * 600.0 / :n_quizzes, 2))
\set before_id 9223372036854775807
begin;
set local role authenticated;
select set_config('request.jwt.claims', '{"sub":"0190a000-0000-7000-8000-:user","role":"authenticated"}', true);
select {id}, {title}, {topic}, {difficulty}, {created_at}
from {quizzes}
where {status} = 'active' and ({created_at}, {id}) < (to_timestamp(:before_s), :before_id)
order by {created_at} desc, {id} desc
limit 20;
commit;
