/* pgrunbook: demo dead rows that an old snapshot holds */
update {user_performance} set {duration_s} = {duration_s} where mod({id}, 5) < 2;
update {quizzes} set {updated_at} = {updated_at} where mod({id}, 5) < 2;
