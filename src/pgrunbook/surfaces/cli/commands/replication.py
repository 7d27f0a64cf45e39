"""Show who receives the WAL, and what slots hold back."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "replication",
    """Show who receives this server's WAL, how far each is behind, and what slots hold back
    and on a standby also whom it follows.  Changes nothing.

    \b
      pgrunbook replication postgresql://app@db-1/shop
    """,
)
