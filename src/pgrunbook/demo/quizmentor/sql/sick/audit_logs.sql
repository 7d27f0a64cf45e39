/* pgrunbook: demo audit_logs, sick */
create index {audit_action_idx} on {audit_logs} ({action});
