"""Show indexes with their sizes and how often they are read."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "indexes",
    """Show indexes with their sizes, how often they are read, and what they hold.  Changes nothing.

    \b
      pgrunbook indexes postgresql://app@db-1/shop
      pgrunbook indexes --sort scans --limit 0
    """,
)
