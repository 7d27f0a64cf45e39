/* pgrunbook: demo key of questions */
alter table {questions} add primary key ({id});
