/* pgrunbook: demo key of user_sessions */
alter table {user_sessions} add primary key ({id});
