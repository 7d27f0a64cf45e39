"""An executable runbook for PostgreSQL and Supabase."""

__version__ = "0.1.0"
