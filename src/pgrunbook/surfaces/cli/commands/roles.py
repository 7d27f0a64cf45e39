"""Show roles, their rights and their sessions."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "roles",
    """Show roles: what each may do, how many sessions it has, and what belongs to it.  Changes nothing.

    \b
      pgrunbook roles postgresql://app@db-1/shop
    """,
)
