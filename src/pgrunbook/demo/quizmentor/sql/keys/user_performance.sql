/* pgrunbook: demo key of user_performance */
alter table {user_performance} add primary key ({id});
