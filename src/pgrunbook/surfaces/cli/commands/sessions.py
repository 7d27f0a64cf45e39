"""Show who is connected and what each session does."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "sessions",
    """Show who is connected, to any database, and what each session does; those at work first.  Changes nothing.

    \b
      pgrunbook sessions postgresql://app@db-1/shop
      pgrunbook sessions --sort transaction_age_s
    """,
)
