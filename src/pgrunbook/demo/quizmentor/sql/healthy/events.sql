/* pgrunbook: demo events, healthy */
create index {events_user_newest_idx} on {events} ({user_id}, {created_at} desc, {id} desc);
create index {events_kind_newest_idx} on {events} ({kind}, {created_at} desc, {id} desc);
create index {events_quiz_idx} on {events} ({quiz_id});
