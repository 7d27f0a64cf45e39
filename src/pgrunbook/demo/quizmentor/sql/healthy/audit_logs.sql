/* pgrunbook: demo audit_logs, healthy */
create index {audit_actor_newest_idx} on {audit_logs} ({actor_id}, {created_at} desc, {id} desc);
