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
