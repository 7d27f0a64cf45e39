"""Show the air in tables and indexes."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "bloat",
    """Show the air in tables and B-tree indexes: measured where pgstattuple may, else estimated.  Changes nothing.

    \b
      pgrunbook bloat postgresql://app@db-1/shop
    """,
)
