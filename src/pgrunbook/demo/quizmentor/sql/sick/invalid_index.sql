/* pgrunbook: demo leftover of a failed build */
-- Display names are not unique: this fails and leaves an INVALID index behind.
create unique index concurrently {users_display_name_key} on {users} ({display_name});
