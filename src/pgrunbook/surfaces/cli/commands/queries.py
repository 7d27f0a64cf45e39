"""Show which statements cost the most."""

from __future__ import annotations

from pgrunbook.surfaces.cli.table_command import table_command

COMMAND = table_command(
    "queries",
    """Show which statements cost the most, without our own and utility statements.  Changes nothing.

    \b
      pgrunbook queries --window 10 postgresql://app@db-1/shop
      pgrunbook queries --sort mean_ms --limit 5
      pgrunbook queries --format csv -o queries.csv
    """,
)
