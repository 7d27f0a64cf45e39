-- A session is still in use.
\set session 100000000001 + :n_sessions - random_exponential(1, :n_sessions, 5)
update {user_sessions}
set {last_seen_at} = now()
where {token} = '0190b000-0000-7000-8000-:session';
