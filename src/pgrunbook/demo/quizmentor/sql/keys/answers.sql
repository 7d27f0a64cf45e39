/* pgrunbook: demo keys of answers */
alter table {answers}
    add primary key ({id}),
    add unique ({question_id}, {user_id});
