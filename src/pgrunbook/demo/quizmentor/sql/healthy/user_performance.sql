/* pgrunbook: demo user_performance, healthy */
create index {performance_user_topic_newest_idx} on {user_performance} ({user_id}, {topic}, {created_at} desc, {id} desc);
create index {performance_topic_newest_idx} on {user_performance} ({topic}, {created_at} desc, {id} desc);
create index {performance_quiz_idx} on {user_performance} ({quiz_id});
