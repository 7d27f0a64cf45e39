/* pgrunbook: demo chance */
-- Chance that is the same each time: every value is a hash of the row's number, the seed and a number that stands
-- for the column, so that rows need no order to come out alike.  Gone with the session that loads.
create function pg_temp.chance(n bigint, of_column integer) returns float8
language sql immutable parallel safe
return (pg_catalog.hashint8extended(n, %(seed)s * 1000 + of_column) & 4503599627370495)::float8 / 4503599627370496;

-- 0..count-1, small numbers oftener: Zipf's law with Mandelbrot's shift, so that the first of 20000 has 0.3 %% of all
-- rows and not a tenth of them.
create function pg_temp.zipf(at float8, count bigint) returns bigint
language sql immutable parallel safe
return least(floor((exp(at * ln(401)) - 1) * count / 400)::bigint, count - 1);

-- Who is rank-th in activity?  Ranks are spread over the numbers of the users (the step shares no factor with their
-- count), for the busiest are not the oldest.
create function pg_temp.user_by_rank(rank bigint) returns uuid
language sql immutable parallel safe
return ('0190a000-0000-7000-8000-' || (100000000001 + mod(rank * %(step)s, %(users)s))::text)::uuid;

create function pg_temp.user_by_chance(at float8) returns uuid
language sql immutable parallel safe
return pg_temp.user_by_rank(pg_temp.zipf(at, %(users)s));

-- A moment in the past of the anchor, `share` 0..1 of the way through the span; more and more happens.
create function pg_temp.moment(share float8, span interval) returns timestamptz
language sql immutable parallel safe
return date_trunc('second', %(anchor)s::timestamptz - span * power(1 - share, 2), 'UTC');

create function pg_temp.topic_of(quiz bigint) returns text
language sql immutable parallel safe
return (array[
    'mathematics', 'biology', 'history', 'chemistry', 'physics', 'geography',
    'literature', 'computing', 'economics', 'music', 'philosophy', 'astronomy'
])[1 + floor(12 * power(pg_temp.chance(quiz, 1), 1.7))::integer];

-- Difficulty leans on the topic: 1..5.
create function pg_temp.difficulty_of(quiz bigint) returns smallint
language sql immutable parallel safe
return greatest(1, least(5, round(
    1.5 + mod(length(pg_temp.topic_of(quiz)), 4) + 1.6 * (pg_temp.chance(quiz, 2) - 0.5)
)))::smallint;

-- A catalogue number, as composers, stars and alloys have one: 4096 of them, so that a search has something to find
-- and much to pass over.
create function pg_temp.subject(at float8) returns text
language sql immutable parallel safe
return 'K' || (1000 + pg_temp.zipf(at, 4096))::text;
