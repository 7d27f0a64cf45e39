/* pgrunbook: demo policies, sick */
-- The same answers as the healthy ones, but who asks is found out anew for each row, an array is searched the way no
-- index can, and whose quiz a result belongs to is a subquery for each row, under the policy of one more table.
create policy {quizzes_readable} on {quizzes} for select to authenticated
using ({user_id} = auth.uid() or {is_public} or auth.uid() = any({shared_with_users}));
create policy {questions_readable} on {questions} for select to authenticated
using (exists (select 1 from {quizzes} as z where z.{id} = {questions}.{quiz_id}));
create policy {answers_readable} on {answers} for select to authenticated
using ({user_id} = auth.uid());
create policy {performance_readable} on {user_performance} for select to authenticated
using (
    {user_id} = auth.uid()
    or exists (
        select 1
        from {quizzes} as z
        where z.{id} = {user_performance}.{quiz_id}
            and z.{user_id} = auth.uid()
    )
);
create policy {sessions_readable} on {user_sessions} for select to authenticated
using ({user_id} = auth.uid());
