/* pgrunbook: demo quizzes, sick */
create index {quizzes_difficulty_idx} on {quizzes} ({difficulty});
create index {quizzes_difficulty_title_idx} on {quizzes} ({difficulty}, {title});
