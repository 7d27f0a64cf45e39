/* pgrunbook: demo key of events */
alter table {events} add primary key ({id});
