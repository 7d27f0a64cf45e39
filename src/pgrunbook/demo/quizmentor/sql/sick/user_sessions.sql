/* pgrunbook: demo user_sessions, sick */
-- Somebody switched autovacuum off when it was in the way of an import, and never on again.  The index on the moment
-- last seen serves nobody and keeps every touch of a session from being a heap-only update.
alter table {user_sessions} set (autovacuum_enabled = false);
create index {sessions_last_seen_idx} on {user_sessions} ({last_seen_at});
