"""Show who waits for which lock, and who holds it."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "locks",
    """Show who waits for which lock and who stands before it, and who holds advisory locks.  Changes nothing.

    \b
      pgrunbook locks postgresql://app@db-1/shop
    """,
)
