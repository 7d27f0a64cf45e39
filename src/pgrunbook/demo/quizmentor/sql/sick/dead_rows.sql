/* pgrunbook: demo dead rows */
-- What weeks of session touches left behind; the values stay what they were.
update {user_sessions} set {last_seen_at} = {last_seen_at};
update {user_sessions} set {last_seen_at} = {last_seen_at};
update {user_sessions} set {last_seen_at} = {last_seen_at};
