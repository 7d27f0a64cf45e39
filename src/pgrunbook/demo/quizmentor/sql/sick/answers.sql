/* pgrunbook: demo answers, sick */
create index {answers_question_user_idx} on {answers} ({question_id}, {user_id});
