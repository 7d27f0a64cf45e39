-- An administrator reads a user's latest lines in the audit log.
select {id}, {action}, {object_kind}, {object_id}, {created_at}
from {audit_logs}
where {actor_id} = '0190a000-0000-7000-8000-:user'
order by {created_at} desc, {id} desc
limit 20;
