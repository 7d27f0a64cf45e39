-- A user's own latest events.
select {id}, {kind}, {quiz_id}, {payload}, {created_at}
from {events}
where {user_id} = '0190a000-0000-7000-8000-:user'
order by {created_at} desc, {id} desc
limit 30;
