-- Comes before each operation: who it is for.  Few users are busy and many are not, as in the data themselves.
\set rank int((exp(random(0, 999999) / 1000000.0 * ln(401)) - 1) * :n_users / 400)
\set user 100000000001 + mod(:rank * :step, :n_users)
