/* pgrunbook: demo foreign keys */
-- Added unchecked and checked afterwards, table by table at the same time (quizmentor/load.py).
alter table {quizzes}
    add foreign key ({user_id}) references {users} ({id}) on delete cascade not valid;
alter table {questions}
    add foreign key ({quiz_id}) references {quizzes} ({id}) on delete cascade not valid;
alter table {answers}
    add foreign key ({question_id}) references {questions} ({id}) on delete cascade not valid,
    add foreign key ({user_id}) references {users} ({id}) on delete cascade not valid;
alter table {user_performance}
    add foreign key ({user_id}) references {users} ({id}) on delete cascade not valid,
    add foreign key ({quiz_id}) references {quizzes} ({id}) on delete cascade not valid;
alter table {user_sessions}
    add foreign key ({user_id}) references {users} ({id}) on delete cascade not valid;
alter table {events}
    add foreign key ({user_id}) references {users} ({id}) on delete cascade not valid,
    add foreign key ({quiz_id}) references {quizzes} ({id}) on delete set null not valid;
alter table {audit_logs}
    add foreign key ({actor_id}) references {users} ({id}) not valid;

-- The application owns its tables, so that its own work needs no policy; what no policy guards, the API does not reach.
alter table {users} owner to quizmentor_app;
alter table {quizzes} owner to quizmentor_app;
alter table {questions} owner to quizmentor_app;
alter table {answers} owner to quizmentor_app;
alter table {user_performance} owner to quizmentor_app;
alter table {user_sessions} owner to quizmentor_app;
alter table {events} owner to quizmentor_app;
alter table {audit_logs} owner to quizmentor_app;
revoke all on {users}, {events}, {audit_logs} from authenticated;
