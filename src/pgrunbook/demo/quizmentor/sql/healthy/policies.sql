/* pgrunbook: demo policies, healthy */
-- Who asks is found out once a statement, and each condition on a column is one that an index can answer.
create policy {quizzes_readable} on {quizzes} for select to authenticated
using (
    {user_id} = (select auth.uid())
    or {is_public}
    or {shared_with_users} @> array[(select auth.uid())]
);
create policy {questions_readable} on {questions} for select to authenticated
using (exists (select 1 from {quizzes} as z where z.{id} = {questions}.{quiz_id}));
create policy {answers_readable} on {answers} for select to authenticated
using ({user_id} = (select auth.uid()));
create policy {performance_readable} on {user_performance} for select to authenticated
using (
    {user_id} = (select auth.uid())
    or {quiz_id} in (select z.{id} from {quizzes} as z where z.{user_id} = (select auth.uid()))
);
create policy {sessions_readable} on {user_sessions} for select to authenticated
using ({user_id} = (select auth.uid()));
