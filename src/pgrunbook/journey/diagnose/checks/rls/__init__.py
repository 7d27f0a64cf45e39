"""Row-level security and what the API roles can reach."""
