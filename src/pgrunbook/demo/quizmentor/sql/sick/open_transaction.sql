/* report: newest members */
select {display_name}, {created_at} from {users} order by {created_at} desc limit 10
