/* pgrunbook: demo key of audit_logs */
alter table {audit_logs} add primary key ({id});
