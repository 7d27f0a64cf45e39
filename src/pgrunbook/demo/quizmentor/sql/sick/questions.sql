/* pgrunbook: demo questions, sick */
create index {questions_solution_idx} on {questions} ({solution});
