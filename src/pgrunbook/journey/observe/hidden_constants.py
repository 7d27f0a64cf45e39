"""Names that pg_stat_statements hides as constants, seen in the last statement of the sessions that are there now.

Only the names of text search configurations and of JSON keys are taken from the texts; no value leaves the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenConstants:
    """What one statement's text says: in `to_tsvector('…', …)`, and after `->` or `->>`."""

    queryid: int
    search_configurations: tuple[str, ...]
    json_keys: tuple[str, ...]


HIDDEN_CONSTANTS = Question(name="hidden_constants", row=HiddenConstants, folder=Path(__file__).parent)
