/* pgrunbook: demo users, sick */
create index {users_joined_idx} on {users} ({created_at});
create index {users_signup_idx} on {users} ({created_at});
