/* pgrunbook: demo answers, healthy */
create index {answers_user_newest_idx} on {answers} ({user_id}, {created_at} desc, {id} desc);
