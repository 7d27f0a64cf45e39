/* pgrunbook: demo user_performance, sick */
create index {performance_duration_idx} on {user_performance} ({duration_s});
