/* pgrunbook: demo quizzes, healthy */
create index {quizzes_owner_newest_idx} on {quizzes} ({user_id}, {created_at} desc, {id} desc);
create index {quizzes_active_newest_idx} on {quizzes} ({created_at} desc, {id} desc) where {status} = 'active';
create index {quizzes_public_idx} on {quizzes} ({id}) where {is_public};
create index {quizzes_shared_idx} on {quizzes} using gin ({shared_with_users});
create index {quizzes_metadata_idx} on {quizzes} using gin ({metadata} jsonb_path_ops);
