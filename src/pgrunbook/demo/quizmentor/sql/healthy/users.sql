/* pgrunbook: demo users, healthy */
create unique index {users_email_key} on {users} ({email});
create index {users_lower_email_idx} on {users} (lower({email}));
