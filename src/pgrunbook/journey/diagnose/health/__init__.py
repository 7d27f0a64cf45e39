"""Snapshot and diagnosis → the scorecard: key metrics, capacity and best practices of the runbook.

`ask` observes a database and gives a Health; metrics, capacity and practices are pure functions over what was seen.
"""

from pgrunbook.journey.diagnose.health.asking import ask

__all__ = ["ask"]
