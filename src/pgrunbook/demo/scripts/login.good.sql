-- A user signs in with an address that the application has made lower-case.
\set number :user - 100000000000
select {id}, {display_name}, {plan}, {active}
from {users}
where {email} = 'learner:number@quizmentor.example';
insert into {user_sessions} ({user_id}, {token}, {user_agent}, {expires_at})
values ('0190a000-0000-7000-8000-:user', gen_random_uuid(), 'Mozilla/5.0 (Linux; Android 14)', now() + interval '30 days');
