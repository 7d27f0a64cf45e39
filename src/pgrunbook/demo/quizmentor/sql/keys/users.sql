/* pgrunbook: demo key of users */
alter table {users} add primary key ({id});
