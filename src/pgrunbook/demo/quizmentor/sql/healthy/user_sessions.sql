/* pgrunbook: demo user_sessions, healthy */
create unique index {sessions_token_key} on {user_sessions} ({token});
create index {sessions_user_idx} on {user_sessions} ({user_id});
alter table {user_sessions} set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
