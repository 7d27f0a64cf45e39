-- A user starts a quiz: an event, and a line in the audit log.
\set quiz :n_quizzes + 1 - random_zipfian(1, :n_quizzes, 1.01)
\set duration_ms random(20, 1800)
begin;
insert into {events} ({user_id}, {kind}, {quiz_id}, {payload})
values ('0190a000-0000-7000-8000-:user', 'quiz_started', :quiz, '{"duration_ms": :duration_ms, "client": "web"}');
insert into {audit_logs} ({actor_id}, {action}, {object_kind}, {object_id})
values ('0190a000-0000-7000-8000-:user', 'update', 'quiz', :quiz);
commit;
