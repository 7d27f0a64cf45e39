-- The team reads who finished a quiz, some pages deep, on from the last one seen.
\set page random_zipfian(1, 100, 1.1)
\set before_s case when :page = 1 then 4102444800 else :newest_s - int(15552000 * pow((:page - 1) * 330.0 / :n_events, 2)) end
\set before_id 9223372036854775807
select {id}, {user_id}, {quiz_id}, {payload}, {created_at}
from {events}
where {kind} = 'quiz_completed' and ({created_at}, {id}) < (to_timestamp(:before_s), :before_id)
order by {created_at} desc, {id} desc
limit 20;
