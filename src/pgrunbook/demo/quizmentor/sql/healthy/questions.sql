/* pgrunbook: demo questions, healthy */
create index {questions_quiz_idx} on {questions} ({quiz_id}, {position});
create index {questions_words_idx} on {questions} using gin ({question_words});
create index {questions_letters_idx} on {questions} using gin ({question_text} extensions.gin_trgm_ops);
