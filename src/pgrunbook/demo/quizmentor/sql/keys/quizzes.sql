/* pgrunbook: demo key of quizzes */
alter table {quizzes} add primary key ({id});
