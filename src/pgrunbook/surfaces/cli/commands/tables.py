"""Show tables with their sizes, use and dead rows."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "tables",
    """Show tables with their sizes, how they are used, their dead rows and their last maintenance.  Changes nothing.

    \b
      pgrunbook tables postgresql://app@db-1/shop
      pgrunbook tables --sort dead_rows --limit 10
    """,
)
