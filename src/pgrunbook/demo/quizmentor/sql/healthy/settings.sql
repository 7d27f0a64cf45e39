/* pgrunbook: demo settings, healthy */
-- For the role in this database only: sessions of maintenance keep their patience.
do $$
declare
    setting text;
begin
    foreach setting in array array[
        $s$statement_timeout = '5s'$s$, $s$lock_timeout = '2s'$s$, $s$idle_in_transaction_session_timeout = '10s'$s$
    ] loop
        execute format('alter role quizmentor_app in database %%I set ', current_database()) || setting;
    end loop;
end
$$;
